"""Word classes on the model of the stories and on a grammar: what was planted is found, what was not is not."""

from __future__ import annotations

import pytest

from neurodecode.studies import run_study

SIZE = {"stories": 24, "tokens": 100, "words": 20, "permutations": 19, "steps": 400}


@pytest.fixture(scope="module")
def tree(data_root, tmp_path_factory):
    return run_study("word_classes", data=data_root, out=tmp_path_factory.mktemp("words"), settings=SIZE)


@pytest.fixture(scope="module")
def found(tree):
    return {row["name"]: row["found"] for row in tree.attrs["figures"]}


@pytest.mark.slow
def test_a_planted_grammar_is_found_layer_by_layer(found):
    assert found["GDV, grammar, hidden2"] < found["GDV, grammar, hidden1"] < found["GDV, grammar, words"]
    assert found["GDV, grammar, hidden2"] < -0.1
    assert found["p, grammar, hidden2"] == pytest.approx(1 / 20)
    guessing = found["loss of random guessing (nats a word)"]
    assert found["loss on new sentences (nats a word), grammar"] < guessing - 1


@pytest.mark.slow
def test_without_training_or_without_order_there_is_nothing(found):
    for name in ("untrained", "shuffled"):
        assert abs(found[f"GDV, {name}, hidden2"]) < 0.02
    assert found["p, shuffled, hidden2"] > 0.05


@pytest.mark.slow
def test_planted_classes_are_read_out_more_easily_layer_by_layer(found):
    capacity = {name.removeprefix("capacity, "): value for name, value in found.items() if name.startswith("capacity")}
    chance = capacity["labels exchanged, grammar"]
    assert capacity["grammar, hidden2"] > capacity["grammar, hidden1"] > chance
    assert capacity["grammar, hidden2"] > 1.15 * chance
    for name in ("untrained, hidden2", "shuffled, hidden1", "shuffled, hidden2"):
        assert capacity[name] == pytest.approx(chance, rel=0.1)


@pytest.mark.slow
def test_the_language_model_separates_classes(found):
    for layer in ("emb", "layers.0", "layers.4", "rms_final"):
        assert found[f"GDV, stories, {layer}"] < -0.03
        assert found[f"p, stories, {layer}"] == pytest.approx(1 / 20)
    assert found["GDV, five stories by others, rms_final"] < found["GDV, five stories by others, emb"] - 0.02


@pytest.mark.slow
def test_curves_over_layers_stand_in_the_result(tree, found):
    networks = {"stories", "grammar", "untrained", "shuffled"}
    assert networks < set(tree.children)
    for name in ("stories", "grammar", "untrained"):
        cells = tree[f"{name}, classes"]["value"]
        for layer in cells["layer"].values:
            assert float(cells.sel(layer=layer).mean()) == pytest.approx(-found[f"GDV, {name}, {layer}"])
    beyond = {name: float((tree[f"{name}, classes"]["p_max"] <= 0.05).mean()) for name in ("grammar", "untrained")}
    assert beyond["grammar"] > 0.5 > 0.2 > beyond["untrained"]


def test_dry_run(data_root, tmp_path):
    tree = run_study("word_classes", data=data_root, out=tmp_path, dry_run=True)
    assert (tmp_path / "dry-run" / "report.html").is_file()
    assert "Nobody told" in tree.attrs["answer"]

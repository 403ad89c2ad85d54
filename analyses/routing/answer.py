"""The answer of the study in a few sentences."""

from .verdicts import VERDICTS, gaining


def sentence(found, table, right):
    """What the tests say, area by area, no more."""
    parts = []
    for verdict in VERDICTS:
        areas = [area for area in table["area"].values.tolist() if found[area] == verdict]
        if areas:
            parts.append(f"{', '.join(areas)}: {verdict}")
    sure = [
        f"{area} ({float(table['difference'].sel(area=area).min()):+.2f})".replace("-", "\N{MINUS SIGN}")
        for area in gaining(table)
    ]
    ending = (
        f"Routing beats all three other encoders in {', '.join(sure)}" if sure else "Routing beats all others nowhere"
    )
    return (
        f"In one simulated person {right} of {len(found)} areas are called what was planted ({'; '.join(parts)}). "
        + ending
        + (" (r above the best of them, p(FDR) < .05)." if sure else ".")
    )

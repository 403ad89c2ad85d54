"""Programs of other processes: an estimator that kills the one it is in, and a driver that is killed."""

# Counts its fits over all processes, and kills the one it is in at chosen fits or in a chosen fold.
MORTAL = """
    import json, os, signal, time
    from sklearn import linear_model

    class Mortal(linear_model.Ridge):
        def __init__(self, alpha=1.0, folder=""):
            super().__init__(alpha=alpha)
            self.folder = folder

        def fit(self, X, y):
            number = 0
            while True:
                try:
                    os.close(os.open(os.path.join(self.folder, f"fit-{number}"), os.O_CREAT | os.O_EXCL))
                    break
                except FileExistsError:
                    number += 1
            with open(os.path.join(self.folder, "plan.json")) as file:
                plan = json.load(file)
            if len(X) == plan.get("samples"):
                time.sleep(1)  # what this worker did before is reported and fetched by then
                os.kill(os.getpid(), signal.SIGKILL)
            if number in plan["kill"]:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().fit(X, y)
"""


DRIVER = """
    import os, signal, sys
    import numpy as np
    from distributed import Client
    from neurodecode.evaluation import SCORES, SplitBy, cross_validate, resume
    from neurodecode.representation import as_representation

    def main():
        code, folder, address, kill_at, store = sys.argv[1:]
        sys.path.insert(0, code)
        from mortal import Mortal

        saved, save = [], resume.BlockStore.save
        def counting(self, name, found):
            save(self, name, found)
            saved.append(name)
            if len(saved) == int(kill_at):
                os.kill(os.getpid(), signal.SIGKILL)
        resume.BlockStore.save = counting

        rng = np.random.default_rng(0)
        names, run = [f"s{i}" for i in range(24)], np.repeat([1, 2, 3], 8)
        X = as_representation(rng.normal(size=(24, 3)), stimulus=names, kind="network")
        Y = as_representation(rng.normal(size=(24, 2)), stimulus=names, kind="fmri", sample={"run": run})
        client = Client(address) if address != "none" else None
        result = cross_validate(
            Mortal(1.0, folder), X, Y, SplitBy("run"), score="r", permutations=40, random_state=1,
            store=None if store == "none" else store, client=client,
        )
        np.savez(os.path.join(code, f"answer-{address == 'none'}.npz"), score=result["score"], null=result["null"])
        print(result.attrs["pieces"]["resumed"])

    if __name__ == "__main__":
        main()
"""

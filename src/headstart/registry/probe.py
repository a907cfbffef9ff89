"""Load a logged model as a server would, in a process of its own, and predict: run as a script.

It imports nothing of Headstart, so that the code packed with the model is what answers.
Arguments: model URI, then image files. Prints JSON: predictions, and the folder of the code that ran.
"""

import json
import sys
from pathlib import Path

import mlflow.pyfunc
import pandas as pd


def main() -> None:
    uri, *files = sys.argv[1:]
    model = mlflow.pyfunc.load_model(uri)
    images = pd.DataFrame({"image": [Path(name).read_bytes() for name in files]})
    answers = model.predict(images)
    code = str(Path(sys.modules["headstart"].__file__ or "").parent)
    print(json.dumps({"code": code, "predictions": answers.to_dict(orient="records")}))


if __name__ == "__main__":
    main()

"""Score image files with a registered version, in a process of its own: run as a script.

It imports nothing of Headstart, so that the code packed with the version is what answers.
Argument: a JSON file with uri, files, batch, timed and out. Writes `out` in batches (Parquet, a row a file:
label, and probabilities as a list in the order of classes), and prints JSON: classes, the folder of the code
that ran, the median milliseconds of a batch of one over `timed` calls, and the bytes of the version's files.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median

import mlflow
import mlflow.pyfunc
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

WARM_UP = 3


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=job["uri"]))
    model = mlflow.pyfunc.load_model(str(folder))

    def answer(files: list[str]) -> pd.DataFrame:
        return model.predict(pd.DataFrame({"image": [Path(name).read_bytes() for name in files]}))

    first = answer(job["files"][:1])
    classes = sorted(first["probabilities"].iloc[0])
    schema = pa.schema([("label", pa.string()), ("probabilities", pa.list_(pa.float64()))])
    with pq.ParquetWriter(job["out"], schema) as writer:
        for start in range(0, len(job["files"]), job["batch"]):
            answers = answer(job["files"][start : start + job["batch"]])
            rows = [[found[name] for name in classes] for found in answers["probabilities"]]
            writer.write_table(pa.table([answers["label"].tolist(), rows], schema=schema))
    milliseconds = []
    for _ in range(job["timed"] and WARM_UP + job["timed"]):
        started = time.perf_counter()
        answer(job["files"][:1])
        milliseconds.append(1000 * (time.perf_counter() - started))
    said = {
        "classes": classes,
        "code": str(Path(sys.modules["headstart"].__file__ or "").parent),
        "milliseconds": median(milliseconds[WARM_UP:]) if milliseconds else None,
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()

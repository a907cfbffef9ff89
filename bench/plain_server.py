"""The server that one would write in a minute: FastAPI, one forward pass per request; for comparison alone.

.venv/bin/python bench/plain_server.py MODEL PORT
"""

import sys

import uvicorn
from fastapi import Body, FastAPI

from headstart.versions.serving.opening import open_model

app = FastAPI()
predictor = open_model(sys.argv[1], None).predictor


@app.post("/predict")
def predict(image: bytes = Body(media_type="image/jpeg")) -> dict[str, float]:
    """Answer in one of Starlette's forty threads."""
    return dict(zip(predictor.classes, map(float, predictor.predict([image])[0]), strict=True))


@app.get("/ping")
def ping() -> dict[str, str]:
    return {}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")

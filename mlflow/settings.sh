# Read by the scripts of this folder: settings from server.env that the environment does not set.
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root" || exit 1
while IFS='=' read -r name value; do
    case $name in '' | \#*) continue ;; esac
    eval "[ -n \"\${$name+set}\" ] || $name=\$value"
done <mlflow/server.env
python=${HEADSTART_PYTHON:-$root/.venv/bin/python}
PATH=$(dirname -- "$python"):$PATH # MLflow starts uvicorn by its name
export PATH
export DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true
# Jobs are a feature for LLM judges, at 1.4 GB of memory.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION="${MLFLOW_SERVER_ENABLE_JOB_EXECUTION:-false}"

# Read by the scripts of this folder: settings from server.env that the environment does not set.
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root" || exit 1
while IFS='=' read -r name value; do
    case $name in '' | \#*) continue ;; esac
    eval "[ -n \"\${$name+set}\" ] || $name=\$value"
done <mlflow/server.env
python=${HEADSTART_PYTHON:-$root/.venv/bin/python}
if ! command -v "$python" >/dev/null; then
    echo "error: there is no $python: run \`make install\` first" >&2
    exit 1
fi
# Fails, with the setting to change, if another program listens at HOST on this port.
check_port() {
    PYTHONPATH=src "$python" -m headstart.host.ports "$HOST" "$1" "$2 (environment, or mlflow/server.env)" || exit 1
}
PATH=$(dirname -- "$python"):$PATH # MLflow starts uvicorn by its name
export PATH
export DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true
# Jobs are a feature for LLM judges, at 1.4 GB of memory.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION="${MLFLOW_SERVER_ENABLE_JOB_EXECUTION:-false}"

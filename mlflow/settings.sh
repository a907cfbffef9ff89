# Read by the scripts of this folder: settings from server.env that the environment does not set.
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root" || exit 1
while IFS='=' read -r name value; do
    case $name in '' | \#*) continue ;; esac
    eval "[ -n \"\${$name+set}\" ] || $name=\$value"
done <mlflow/server.env
# The code of the tree, if it holds any; else the package that is installed with the interpreter.
if [ -e src/headstart ]; then export PYTHONPATH="$root/src"; fi
python=${HEADSTART_PYTHON:-$root/.venv/bin/python}
if [ ! -e src/headstart ] && ! command -v "$python" >/dev/null; then python=$(command -v python3); fi
if ! command -v "$python" >/dev/null || ! "$python" -c 'import headstart'; then
    echo "error: there is no headstart for ${python:-python3}: run \`make install\` first, or activate its environment" >&2
    exit 1
fi
# Fails, with the setting to change, if another program listens at HOST on this port.
check_port() {
    "$python" -m headstart.host.ports "$HOST" "$1" "$2 (environment, or mlflow/server.env)" || exit 1
}
PATH=$(dirname -- "$python"):$PATH # MLflow starts uvicorn by its name
export PATH
export DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true
# Jobs are a feature for LLM judges, at 1.4 GB of memory.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION="${MLFLOW_SERVER_ENABLE_JOB_EXECUTION:-false}"

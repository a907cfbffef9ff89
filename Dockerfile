# The project with its libraries, for the services of compose.yaml: all of them but PostgreSQL.
ARG BASE=python:3.12
FROM ${BASE}
# a package more, such as mlflow[auth]
ARG EXTRA=
RUN git --version && make --version && curl --version \
    || { apt-get update && apt-get install --yes --no-install-recommends curl git make && rm -rf /var/lib/apt/lists/*; }
RUN useradd --create-home --home-dir /srv/headstart --uid 10001 headstart \
    && cd /srv/headstart \
    && install --directory --owner headstart project project/.services prefect mlflow clones dvc-cache store \
    && install --directory --owner headstart --mode 700 project/kept
USER 10001
WORKDIR /srv/headstart/project
COPY --chown=10001 . .
RUN make install && { test -z "$EXTRA" || .tools/bin/uv pip install --python .venv/bin/python "$EXTRA"; }
ENV PATH=/srv/headstart/project/.venv/bin:$PATH PYTHONUNBUFFERED=1

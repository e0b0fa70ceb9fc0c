# Moontide in one image; the command says which service a container is: `docker run ... moontide normalizer`.
# Its root file system may be read-only: only MOONTIDE_HOME (a volume or a tmpfs) is written to.

ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python -m venv /opt/build && python -m venv --without-pip /opt/moontide
COPY pyproject.toml ./
# What pyproject.toml names, without our own code, and what sends traces: no pip is in the image to add it. This layer is built again only when that file changes.
RUN /opt/build/bin/python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb')); \
        open('build.txt', 'w').write('\n'.join(p['build-system']['requires'])); \
        open('run.txt', 'w').write('\n'.join(p['project']['dependencies'] + p['project']['optional-dependencies']['traces']))" \
    && /opt/build/bin/pip install --quiet --no-cache-dir --disable-pip-version-check -r build.txt \
    && /opt/build/bin/pip --python /opt/moontide/bin/python install --quiet --no-cache-dir --disable-pip-version-check -r run.txt
COPY README.md ./
COPY services ./services
COPY shared ./shared
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --disable-pip-version-check --wheel-dir /dist . \
    && /opt/build/bin/pip --python /opt/moontide/bin/python install --quiet --no-deps --no-index --disable-pip-version-check /dist/*.whl

FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 10001 moontide \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/moontide moontide \
    && install -d -o moontide -g moontide -m 0700 /var/lib/moontide
COPY --from=build /opt/moontide /opt/moontide
ENV PATH=/opt/moontide/bin:$PATH \
    MOONTIDE_HOME=/var/lib/moontide \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can check runAsNonRoot.
USER 10001:10001
WORKDIR /var/lib/moontide
EXPOSE 9988
ENTRYPOINT ["moontide"]
CMD ["--help"]

# The same lock file as a checkout; the kernels are compiled at build time, so a container starts warm.
FROM python:3.11-slim-bookworm

# What the compiled decision port calls; OpenSSL is in the image already.
RUN apt-get update && apt-get install --yes --no-install-recommends libnghttp2-14 \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --system --create-home --home-dir /srv/riskgate --shell /usr/sbin/nologin riskgate
WORKDIR /opt/riskgate

COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock

COPY pyproject.toml requirements.in ./
COPY server server
COPY trainer trainer
COPY riskgate riskgate
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation -e .

ENV PYTHONUNBUFFERED=1 \
    RISKGATE_DATA_DIR=/srv/riskgate/data \
    RISKGATE_CACHE_DIR=/srv/riskgate/cache
USER riskgate
RUN riskgate warm
VOLUME /srv/riskgate/data

EXPOSE 50051 50052 9464
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s CMD ["riskgate", "doctor"]
# Loopback is the default everywhere; a container has to listen on its own interface. Both ports want
# client certificates of the authority that is made in the volume (`riskgate pki issue`), or of yours:
# RISKGATE_TLS_CERTIFICATE, RISKGATE_TLS_KEY, RISKGATE_TLS_CLIENT_CA. Names by which callers dial the
# container besides localhost: `riskgate pki init --host NAME`.
ENV RISKGATE_DECISION_LISTEN=0.0.0.0:50051 \
    RISKGATE_CONTROL_LISTEN=0.0.0.0:50052 \
    RISKGATE_METRICS_LISTEN=0.0.0.0:9464
CMD ["riskgate", "serve"]

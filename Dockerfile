# Copies a static binary that was built before (make docker): nothing is fetched here.
ARG BASE=scratch
FROM ${BASE}
COPY bin/linux/marketstream /marketstream
USER 65532:65532
ENTRYPOINT ["/marketstream"]

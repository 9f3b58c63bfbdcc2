# The container image: docs/deploy/README.md says how to run it. What matrix-media-repo's image promises holds here, too:
# the same programs in /usr/local/bin, REPO_CONFIG, /data, ports 8000 and 9000, run.sh with UID and GID.
ARG BUILD_IMAGE=docker.io/library/node:24-bookworm-slim
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
ARG TARGETARCH=amd64
WORKDIR /source
COPY . .
RUN npm ci --no-audit --no-fund
RUN case "$TARGETARCH" in amd64) platform=linux-x64 ;; *) platform="linux-$TARGETARCH" ;; esac \
    && npx node scripts/make-folder.ts /opt/cellarium "$platform"

FROM ${BASE_IMAGE}
# tini reaps what decoders leave behind; jemalloc gives memory back; the others make thumbnails of films, PDF, HEIC and JPEG XL.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates tini libjemalloc2 ffmpeg poppler-utils libheif-examples libjxl-tools \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old \
    && ln -s "$(dpkg -L libjemalloc2 | grep '/libjemalloc.so.2$')" /usr/local/lib/libjemalloc.so.2
COPY --from=build /opt/cellarium /opt/cellarium
COPY docs/deploy/container/media_repo docs/deploy/container/run.sh /usr/local/bin/
# Every program by its bare name; the sample listens on all addresses, or nobody outside the container could reach it.
RUN for program in /opt/cellarium/bin/*; do \
      [ -e "/usr/local/bin/${program##*/}" ] || ln -s "$program" /usr/local/bin/; \
    done \
    && chmod 755 /usr/local/bin/media_repo /usr/local/bin/run.sh \
    && cellarium config sample | sed 's|^  #bindAddress: 127.0.0.1|  bindAddress: 0.0.0.0|' >/etc/media-repo.yaml.sample \
    && chmod 644 /etc/media-repo.yaml.sample \
    && install -d -m 1777 /data /media
ENV REPO_CONFIG=/data/media-repo.yaml CELLARIUM_DATA=/data LD_PRELOAD=/usr/local/lib/libjemalloc.so.2
WORKDIR /data
VOLUME ["/data", "/media"]
EXPOSE 8000 9000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["cellarium", "healthy"]
# run.sh needs root only to give /data to UID:GID, and becomes UID:GID at once; with --user it stays what it is.
ENTRYPOINT ["tini", "--"]
CMD ["run.sh"]

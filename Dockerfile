# syntax=docker/dockerfile:1
# One binary with Bun inside, on a base that has a C library and nothing else: no shell, no package manager, no root.
# docker build -t warmroute:0.1.0 .
FROM oven/bun:1.4.5 AS build
WORKDIR /src
COPY package.json bun.lock ./
RUN bun install --frozen-lockfile --ignore-scripts
COPY tsconfig.json ./
COPY actors actors
COPY config config
COPY src src
# The thread of the snapshot is an entry of its own, found beside the other one by its name.
RUN bun build --compile --minify --entry-naming='[name].[ext]' \
    src/cli/main.ts src/storage/snapshotThread.ts --outfile /warmroute

FROM gcr.io/distroless/base-nossl-debian12:nonroot
COPY --from=build /warmroute /warmroute
USER 65532:65532
WORKDIR /var/lib/warmroute
EXPOSE 8080 9002 9003
ENTRYPOINT ["/warmroute"]
CMD ["serve", "--config", "/etc/warmroute/gateway.yaml"]

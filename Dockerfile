# Both programs, static, on nothing else: docker build -t maestro:0.1.0 .
# Pinned to the version in go.mod; a test compares the two.
FROM golang:1.26.8 AS build
ENV CGO_ENABLED=0
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
# With .git, from which the toolchain stamps version and commit into the programs. --build-arg VERSION=v1.2.3 gives them a version
# that no tag says.
COPY . .
ARG VERSION=
RUN go build -trimpath -buildvcs=true -ldflags="-s -X github.com/maestro-es/maestro/internal/release.version=$VERSION" -o /out/ ./cmd/worker ./cmd/publisher

FROM scratch
# Authorities, for servers with public certificates.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/worker"]

# syntax=docker/dockerfile:1
# Two stages: the first compiles, the second holds what runs. No secret is ever part of an image: settings,
# keys and ledger are mounted (docker-compose.yml shows how).
FROM node:24-bookworm-slim AS build
WORKDIR /mayfly
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /mayfly
COPY --from=build /mayfly/package.json ./
COPY --from=build /mayfly/node_modules node_modules
COPY --from=build /mayfly/bin bin
COPY --from=build /mayfly/dist dist
# The ledger and the key-encryption key live here; only this user can read them.
RUN mkdir -m 0700 data && chown node:node data
USER node
VOLUME /mayfly/data
EXPOSE 8480
HEALTHCHECK --interval=10s --timeout=3s CMD ["node", "-e", "fetch('http://127.0.0.1:8480/readyz').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "bin/mayfly.js"]
CMD ["serve", "--config", "/mayfly/config/mayfly.yaml"]

# One image for every service; the command chooses which.
FROM node:24-trixie-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image brings Node itself, so the packages that carry one are left out.
# Install scripts would only compile what better-sqlite3 has ready.
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:24-trixie-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY package.json ./
COPY third_party ./third_party
COPY gen ./gen
COPY services ./services
# A named volume takes over the owner of the folder that it is mounted on. Not declared as one here: each container
# without a volume of its own would leave a nameless one behind.
RUN mkdir /data && chown node:node /data
USER node
CMD ["node", "services/registry/main.ts"]

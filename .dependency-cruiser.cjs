// Who may import whom. The rules speak of kinds of folders, not of names: a
// folder that is new under services/ is a service and fenced in from its first
// file. test/fences plants a violation of each rule.

/** Rooms under services/ that are no service, each with rules of its own. */
const shared = ["domain", "platform", "wire"];
const outside = ["launcher", "console", "cli"];
/**
 * All that the pure rules may take from npm: no I/O, and no clock or randomness that they are not handed. uuid is
 * called with both (eslint.config.js).
 */
const purePackages = ["croner", "flatqueue", "lru-cache", "uuid"];
/** Drivers of databases, those of the next engine included. */
const databasePackages = ["better-sqlite3", "pg", "postgres"];

const or = (names) => names.join("|");
const npm = (names) => `(^|/)node_modules/(@types/)?(${or(names)})/`;
/** All else under services/ is product, whatever its name says. */
const testCode = "[.]test[.]ts$";
const product = { path: "^services/", pathNot: testCode };

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "no-cycles",
      comment: "Two files that need each other are one file, or hide a third. Types count: they are knowledge as well.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "unresolvable",
      comment: "An import that leads nowhere fails at run time only.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "main-is-an-entry",
      comment: "A main.ts reads the environment and runs; importing it would start it.",
      severity: "error",
      from: {},
      to: { path: "^(services|test)/.*/main[.][cm]?[jt]s$" },
    },
    {
      name: "wire-speaks-for-all",
      comment: "What two services share is written and read in one place.",
      severity: "error",
      from: { path: "^services/(?!wire/)", pathNot: "[.]test[.]ts$" },
      to: { path: "^gen/carillon/v1/events_pb[.]ts$" },
    },
    {
      name: "no-service-imports-another",
      comment: "Services meet in proto/ and on the broker.",
      severity: "error",
      from: { path: `^services/(?!(?:${or([...shared, ...outside])})/)([^/]+)/` },
      to: { path: "^services/", pathNot: `^services/(${or(shared)}|$1)/` },
    },
    {
      name: "every-file-in-a-room",
      comment: "A file beside the folders would belong to no rule.",
      severity: "error",
      from: {},
      to: { path: "^services/[^/]+$" },
    },
    {
      name: "domain-is-pure",
      comment: "The core knows no I/O: it imports itself and a few packages that are pure as well.",
      severity: "error",
      from: { path: "^services/domain/", pathNot: testCode },
      to: { pathNot: `^services/domain/|${npm(purePackages)}` },
    },
    {
      name: "core-is-pure",
      comment: "The core of a service is a machine that is handed everything: it imports itself and the domain.",
      severity: "error",
      from: { path: "^services/([^/]+)/core/", pathNot: testCode },
      to: { pathNot: `^services/($1/core|domain|wire)/|${npm(purePackages)}` },
    },
    {
      name: "core-knows-messages-by-type",
      comment: "How a message is written down is for the core's driver to know.",
      severity: "error",
      from: { path: "^services/([^/]+)/core/", pathNot: testCode },
      to: { path: "^services/wire/", dependencyTypesNot: ["type-only"] },
    },
    {
      name: "platform-knows-no-jobs",
      comment: "Adapters may be lifted into another program: of the contract they know what all gRPC services share.",
      severity: "error",
      from: { path: "^services/platform/", pathNot: testCode },
      to: { path: "^(services|gen)/", pathNot: "^services/platform/|^gen/(google|grpc)/" },
    },
    {
      name: "wire-below-services",
      comment: "What the services say to each other depends on none of them.",
      severity: "error",
      from: { path: "^services/wire/" },
      to: { path: "^services/", pathNot: `^services/(${or(shared)})/` },
    },
    {
      name: "launcher-starts-processes",
      comment: "The launcher runs the services; it never loads them, nor what they say.",
      severity: "error",
      from: { path: "^services/launcher/" },
      to: { path: "^(services|gen)/", pathNot: "^services/(launcher|platform)/" },
    },
    {
      name: "clients-know-the-contract-only",
      comment: "Console and command line could be anybody's: they use what everybody can.",
      severity: "error",
      from: { path: "^services/(console|cli)/" },
      to: { path: `^services/|${npm(["nats", ...databasePackages])}`, pathNot: "^services/$1/" },
    },
    {
      name: "broker-behind-the-platform",
      comment:
        "How to talk with the broker is known in platform/jetstream, what the streams are in wire. The others know types.",
      severity: "error",
      from: {
        path: "^services/",
        // The pure ones have a rule of their own.
        pathNot: `^services/(platform/jetstream|wire|domain|[^/]+/core)/|${testCode}`,
      },
      to: { path: npm(["nats"]), dependencyTypesNot: ["type-only"] },
    },
    {
      name: "sql-in-stores-only",
      comment: "A database has one door in each service. The launcher takes file locks of it, and stores nothing.",
      severity: "error",
      from: {
        path: "^services/",
        pathNot:
          "^services/.+/store/|^services/platform/sql/|^services/launcher/(data-dir|nats/nats-server-cache)[.]ts$",
      },
      to: { path: `^services/platform/sql/|${npm(databasePackages)}|^(node:)?sqlite$` },
    },
    {
      name: "engines-behind-the-contract",
      comment: "Which database it is, only the store and the wiring know.",
      severity: "error",
      from: { path: "^services/", pathNot: `^services/[^/]+/service[.]ts$|^services/.+/store/|${testCode}` },
      to: { path: "^services/.+/store/[^/]+/" },
    },
    {
      name: "product-imports-product",
      comment: "What ships does not lean on test code, nor on anything else that is not in the image.",
      severity: "error",
      from: product,
      to: { pathNot: "^(services|gen)/|(^|/)node_modules/", dependencyTypesNot: ["core"], couldNotResolve: false },
    },
    {
      name: "no-test-in-product",
      comment: "Nor on test code that lies beside it.",
      severity: "error",
      from: product,
      to: { path: testCode, pathNot: "^test/" },
    },
    {
      name: "generated-code-stands-alone",
      comment: "The contract depends on nobody.",
      severity: "error",
      from: { path: "^gen/" },
      to: { pathNot: "^gen/|(^|/)node_modules/" },
    },
    {
      name: "declared-packages-only",
      comment: "A package that only came along with another may go away with it.",
      severity: "error",
      from: { path: "^(services|test|gen)/" },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "product-needs-no-dev-packages",
      comment: "The image is installed without the development packages.",
      severity: "error",
      from: { path: "^(services|gen)/", pathNot: testCode },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"], pathNot: "(^|/)node_modules/@types/" },
    },
  ],
  options: {
    doNotFollow: { path: "(^|/)node_modules/" },
    // Types count as well: they carry knowledge across a border.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};

// The import direction of the layout:
//   gen, domain <- platform, wire <- registry | ticker | executor | history <- launcher
// test may import all; nothing outside test imports test.
const services = "registry|ticker|executor|history|console";

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "no-cycles",
      comment: "Two files that need each other are one file, or hide a third.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "unresolvable",
      comment: "An import that leads nowhere fails at run time only.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "domain-is-pure",
      comment: "The core knows no I/O: it imports itself, croner, lru-cache and uuid, which do none.",
      severity: "error",
      from: { path: "^services/domain/", pathNot: "[.]test[.]ts$" },
      to: { pathNot: "^services/domain/|^node_modules/(croner|lru-cache|uuid)/" },
    },
    {
      name: "platform-knows-no-jobs",
      comment: "Adapters may be lifted into another program.",
      severity: "error",
      from: { path: "^services/platform/", pathNot: "[.]test[.]ts$" },
      to: { path: "^services/(?!platform/)" },
    },
    {
      name: "wire-below-services",
      comment: "What the services say to each other depends on none of them.",
      severity: "error",
      from: { path: "^services/wire/", pathNot: "[.]test[.]ts$" },
      to: { path: "^services/(?!wire/|domain/|platform/)" },
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
      from: { path: `^services/(${services})/` },
      to: { path: "^services/(?!domain/|platform/|wire/)", pathNot: "^services/$1/" },
    },
    {
      name: "launcher-starts-processes",
      comment: "The launcher runs the services; it never loads them.",
      severity: "error",
      from: { path: "^services/launcher/" },
      to: { path: "^services/(?!launcher/|platform/)" },
    },
    {
      name: "main-is-an-entry",
      comment: "A main.ts reads the environment and runs; importing it would start it.",
      severity: "error",
      from: {},
      to: { path: "(^|/)main[.]ts$" },
    },
    {
      name: "no-test-in-product",
      comment: "What ships does not lean on test code.",
      severity: "error",
      from: { path: "^services/", pathNot: "[.]test[.]ts$" },
      to: { path: "^test/|[.]test[.]ts$" },
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
      from: { path: "^(services|gen)/", pathNot: "[.]test[.]ts$" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"], pathNot: "^node_modules/@types/" },
    },
  ],
  options: {
    doNotFollow: { path: "^node_modules" },
    // Types count as well: they carry knowledge across a border.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};

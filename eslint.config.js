import { parser, plugin as typescript } from "typescript-eslint";

// What Biome and the compiler cannot see: promises that nobody waits for, time
// and randomness that nobody can pass in, and imports that the import rules
// (.dependency-cruiser.cjs) do not see. Style is Biome's.
//
// Closed by default: of Date, Math, performance and process the forms that are
// listed here may be used, and no other, under no other name.

const source = ["services/**/*.{ts,mts,cts,mjs,cjs,js}", "test/**/*.{ts,mts,cts,mjs,cjs,js}", "*.ts"];
const product = ["services/**/*.{ts,mts,cts,mjs,cjs,js}"];
const tests = ["services/**/*.test.ts", "test/**"];

const useClock = "Take a Clock (services/platform/process/clock.ts), so that tests can turn its hands.";
const useRandom = "Take a Random, or what services/platform/process/clock.ts offers for secrets and ids.";
const useImport = "Import it at the head of the file by its name, where the import rules see it.";
const bePure = "The core is handed everything: it asks nobody, and knows no I/O.";

/** What is called the same and is a property or a type. */
const names = [
  "MemberExpression[computed=false] > .property",
  ...["Property", "TSPropertySignature"].map((kind) => `${kind} > .key`),
  ...["TSTypeReference", "TSQualifiedName"].map((kind) => `${kind} > *`),
];

/** A use of a global other than those that are listed. Types are no use. */
const onlyAs = (name, listed) =>
  [`Identifier[name='${name}']`, ...[...names, ...listed].map((form) => `:not(${form})`)].join("");
const member = (object, condition) =>
  `MemberExpression[computed=false][object.name='${object}'][property.name${condition}] > .object`;

const timeAndChance = [
  {
    selector: onlyAs("Date", [
      member("Date", "=/^(parse|UTC)$/"),
      "NewExpression[arguments.length=1][arguments.0.type!='SpreadElement'] > .callee",
      "BinaryExpression[operator='instanceof'] > .right",
    ]),
    message: useClock,
  },
  {
    selector: onlyAs("performance", [member("performance", "='eventLoopUtilization'"), "ImportSpecifier > *"]),
    message: useClock,
  },
  // Not among them: nextTick. Neither it nor queueMicrotask is a span of time.
  { selector: onlyAs("process", [member("process", "!=/^(hrtime|uptime|getBuiltinModule)$/")]), message: useClock },
  { selector: onlyAs("Math", [member("Math", "!='random'")]), message: useRandom },
  // Of Intl.DateTimeFormat: it formats the present when it is given nothing.
  { selector: "CallExpression[callee.property.name=/^format(ToParts)?$/][arguments.length=0]", message: useClock },
  // Of uuid: without a time and random bytes it takes both from the machine.
  {
    selector: "CallExpression[callee.name='v7']:not(:has([key.name='msecs']):has([key.name='random']))",
    message: "Hand it msecs and random.",
  },
  {
    selector: onlyAs("v7", ["CallExpression > .callee", "ImportSpecifier > *"]),
    message: "Call it where it is named.",
  },
  { selector: "ImportSpecifier[imported.name='v7'][local.name!='v7']", message: "Call it by its name." },
  { selector: "ImportSpecifier[imported.name='performance'][local.name!='performance']", message: useClock },
];

const unseenImports = [
  { selector: "ImportExpression", message: useImport },
  { selector: "CallExpression[callee.name='require']", message: useImport },
];

/** Not here: AbortSignal.timeout. It bounds a request to a real peer, and decides nothing else. */
const globals = [
  ...["setTimeout", "setInterval", "setImmediate", "Temporal"].map((name) => ({ name, message: useClock })),
  { name: "crypto", message: useRandom },
  ...["globalThis", "global", "self"].map((name) => ({
    name,
    message: "Name what you take of it: names are watched.",
  })),
  ...["eval", "Function"].map((name) => ({ name, message: "No rule sees what is written in a text." })),
];

const modules = [
  ...["timers", "timers/promises"].map((name) => ({ name, message: useClock })),
  { name: "process", message: "Use the global one: its clock is watched." },
  { name: "os", importNames: ["uptime", "default"], message: useClock },
  // What measures and tells no time.
  { name: "perf_hooks", allowImportNames: ["performance"], message: useClock },
  // What computes and does not dice.
  { name: "crypto", allowImportNames: ["createHash", "createHmac", "timingSafeEqual"], message: useRandom },
  ...["module", "vm", "worker_threads"].map((name) => ({ name, message: useImport })),
].flatMap((module) => [module, { ...module, name: `node:${module.name}` }]);
const packages = [{ name: "uuid", allowImportNames: ["v7", "validate", "version", "parse"], message: useRandom }];

const takeWhatIsPassed = {
  regex: "/clock[.]ts$",
  importNames: ["systemClock", "systemRandom"],
  message: "A main.ts hands them on; whoever else needs one takes it.",
};

// Nothing is restricted by "off" alone: a severity without options would leave those of the entry before.
const listed = (options) => (options.length > 0 ? ["error", ...options] : "off");
const restrict = ({ syntax = [], globals = [], modules = [], patterns = [] }) => ({
  "no-restricted-syntax": listed(syntax),
  "no-restricted-globals": listed(globals),
  "no-restricted-imports": ["error", { paths: modules, patterns }],
});

const ofProduct = {
  syntax: [...timeAndChance, ...unseenImports],
  globals,
  modules: [...modules, ...packages],
  patterns: [takeWhatIsPassed],
};

const ofCores = {
  ...ofProduct,
  globals: [
    ...globals,
    ...["process", "fetch", "WebSocket", "EventSource", "console"].map((name) => ({ name, message: bePure })),
  ],
};

export default [
  {
    files: source,
    plugins: { "@typescript-eslint": typescript },
    languageOptions: { parser, parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    // An exception stands here, where it is seen.
    linterOptions: { noInlineConfig: true },
    rules: {
      // `void` marks a promise whose rejection would be a surprise: that ends the process (runService).
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    },
  },
  { files: product, ignores: tests, rules: restrict(ofProduct) },
  {
    files: ["services/domain/**", "services/*/core/**"],
    ignores: tests,
    rules: restrict(ofCores),
  },
  {
    // Who starts a process, and the frame that all of them share.
    files: ["services/**/main.ts", "services/platform/process/**"],
    ignores: tests,
    rules: restrict({ ...ofProduct, patterns: [] }),
  },
  // The second runs before anything can be imported that is TypeScript: it has a clock of its own, and hands it on.
  {
    files: ["services/platform/process/clock.ts", "services/launcher/setup.mjs"],
    rules: restrict({ syntax: unseenImports }),
  },
  {
    // What is found by chance there could not be found again: they take their numbers from a seed.
    files: ["test/simulation/**", "test/contract/**"],
    rules: {
      "no-restricted-syntax": [
        "error",
        { selector: onlyAs("Math", [member("Math", "!='random'")]), message: useRandom },
      ],
    },
  },
];

import { parser, plugin as typescript } from "typescript-eslint";

// What Biome and the compiler cannot see: promises that nobody waits for, and
// time and randomness that nobody can pass in. Style is Biome's.

const source = ["services/**/*.ts", "test/**/*.ts", "*.ts"];
const tests = ["services/**/*.test.ts", "test/**/*.ts"];

const useClock = "Take a Clock (services/platform/process/clock.ts), so that tests can turn its hands.";
const useRandom = "Take a Random, or what services/platform/process/clock.ts offers for secrets and ids.";

/** Not here: AbortSignal.timeout. It bounds a request to a real peer, and decides nothing else. */
const bareTimeAndChance = {
  "no-restricted-globals": [
    "error",
    {
      globals: [
        ...["setTimeout", "setInterval", "setImmediate"].map((name) => ({ name, message: useClock })),
        { name: "crypto", message: useRandom },
      ],
      checkGlobalObject: true,
    },
  ],
  "no-restricted-properties": [
    "error",
    { object: "Date", property: "now", message: useClock },
    { object: "performance", property: "now", message: useClock },
    { object: "performance", property: "timeOrigin", message: useClock },
    { object: "process", property: "hrtime", message: useClock },
    { object: "process", property: "uptime", message: useClock },
    { object: "Math", property: "random", message: useRandom },
  ],
  "no-restricted-syntax": [
    "error",
    { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: useClock },
    { selector: "CallExpression[callee.name='Date']", message: useClock },
    { selector: "Identifier[name='Temporal']", message: useClock },
  ],
  "no-restricted-imports": [
    "error",
    {
      paths: [
        ...["node:timers", "node:timers/promises", "timers", "timers/promises"].map((name) => ({
          name,
          message: useClock,
        })),
        { name: "node:process", message: "Use the global one: its clock is watched." },
        // What computes and does not dice.
        { name: "node:crypto", allowImportNames: ["createHash", "createHmac", "timingSafeEqual"], message: useRandom },
      ],
    },
  ],
};

export default [
  {
    files: source,
    plugins: { "@typescript-eslint": typescript },
    languageOptions: { parser, parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      // `void` marks a promise whose rejection would be a surprise: that ends the process (runService).
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ["services/**"],
    ignores: [
      ...tests,
      "services/platform/process/clock.ts",
      // To be taken out with the change of these two files that is under way.
      "services/platform/process/lifecycle.ts",
      "services/registry/store/committer.ts",
    ],
    rules: bareTimeAndChance,
  },
];

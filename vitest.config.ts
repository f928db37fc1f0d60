import { defineConfig } from "vitest/config";

// These start whole systems, kill them or measure time: one after another, and
// after all the others, so that two cores are enough.
const heavy = [
  "test/faults/**/*.test.ts",
  "test/browser/**/*.test.ts",
  "test/clients/**/*.test.ts",
  "test/integration/launcher/**/*.test.ts",
  "test/integration/system/**/*.test.ts",
  "test/bench/**/*.test.ts",
];

/** What runs at the same time as others. */
const beside = {
  environment: "node",
  pool: "forks",
  // A real broker on a busy machine; a unit test that comes near it is broken all the same.
  testTimeout: 60_000,
  hookTimeout: 60_000,
  sequence: { groupOrder: 0 },
} as const;

export default defineConfig({
  test: {
    reporters: ["default"],
    projects: [
      {
        test: {
          ...beside,
          name: "unit",
          include: ["services/**/*.test.ts"],
        },
      },
      {
        test: {
          ...beside,
          name: "integration",
          include: ["test/**/*.test.ts"],
          exclude: heavy,
        },
      },
      {
        test: {
          name: "system",
          environment: "node",
          pool: "forks",
          include: heavy,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});

import { defineConfig } from "vitest/config";

// These start whole systems, kill them or measure time: one after another, and
// after all the others, so that two cores are enough.
const heavy = [
  "test/faults/**/*.test.ts",
  "test/browser/**/*.test.ts",
  "test/integration/launcher/**/*.test.ts",
  "test/integration/system/**/*.test.ts",
  "test/bench/**/*.test.ts",
];

export default defineConfig({
  test: {
    reporters: ["default"],
    projects: [
      {
        test: {
          name: "parallel",
          environment: "node",
          pool: "forks",
          include: ["services/**/*.test.ts", "test/**/*.test.ts"],
          exclude: heavy,
          // A real broker on a busy machine; a unit test that comes near it is broken all the same.
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "serial",
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

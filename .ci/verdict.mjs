// Prints what the test runner counted as the one closing line; fails when something failed, also outside the tests, and when
// a test was left out that is not expected to be. In a report named as --bare=FILE, of a run that hides the installed servers,
// tests may be left out: they are counted in words, and not as skipped.
import { readFileSync } from 'node:fs';

/** Full names of tests that this run may leave out, each with its reason beside it. Nothing is missing here: none. */
const MAY_BE_SKIPPED = [];

const [status, ...reports] = process.argv.slice(2);
let passed = 0;
let failed = 0;
let skipped = 0;
for (const named of reports) {
  const bare = named.startsWith('--bare=');
  const report = bare ? named.slice('--bare='.length) : named;
  try {
    const results = JSON.parse(readFileSync(report, 'utf8'));
    passed += results.numPassedTests;
    failed +=
      results.numFailedTests +
      results.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
        .length;
    const leftOut = results.numPendingTests + results.numTodoTests;
    if (bare) {
      process.stderr.write(`${leftOut} tests left out where the servers are hidden\n`);
      continue;
    }
    skipped += leftOut;
    for (const { name, assertionResults } of results.testResults)
      for (const { status: how, fullName } of assertionResults) {
        if (how === 'passed' || how === 'failed' || MAY_BE_SKIPPED.includes(fullName)) continue;
        failed++;
        process.stderr.write(
          `Left out (${how}), which the list of this file does not allow: ${fullName} in ${name}\n`,
        );
      }
  } catch (error) {
    failed++;
    process.stderr.write(`The test runner left no report: ${error.message}\n`);
  }
}
const ok = status === '0' && failed === 0 && passed > 0;
if (!ok && failed === 0) failed = 1;
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exit(ok ? 0 : 1);

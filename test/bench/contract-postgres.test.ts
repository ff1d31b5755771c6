import { contractSuite } from '../support/contract-suite.ts';

await contractSuite('postgres', (name) => name.startsWith('postgres'));

import { contractSuite } from '../support/contract-suite.ts';

await contractSuite('kafka');

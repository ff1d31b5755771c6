/** The guards that make it correct. A model without one of them must break a promise; see explore.test.ts. */
export interface Guards {
  /** A record writes only rows that carry its claim's number. */
  readonly claimNumber: boolean;
  /** A record writes only rows in state 1, so that one that is sent twice writes once. */
  readonly stateOne: boolean;
  /** Counters move by the rows that changed, not by the rows that were meant. */
  readonly countChanged: boolean;
  /** A worker may only be buried when its own lease is over. */
  readonly buryAfterLease: boolean;
  /** A worker hands nothing over when its lease is over. */
  readonly ownLease: boolean;
  /** Nothing is handed over beyond the mark that is known to be durable. */
  readonly durableMark: boolean;
  /** A mark moves only as far as the window allows. */
  readonly window: boolean;
  /** A mark never goes back, also when an older statement comes later. */
  readonly markStays: boolean;
  /** Nothing is handed over of a claim whose commit was not heard. */
  readonly claimFirst: boolean;
  /** A cursor that finds nothing looks once more from the start. */
  readonly cursorIsAHint: boolean;
  /** Finished means none waiting and none claimed. */
  readonly finishCountsClaimed: boolean;
  /** Claims in a living worker's name that it does not know are taken apart. */
  readonly rescueUnknown: boolean;
  /** A rescue takes only rows that carry its claim's number. */
  readonly rescueNumber: boolean;
  /** Rows of a dead worker within the mark are in doubt; only those beyond it are certainly unsent. */
  readonly doubtWithinMark: boolean;
  /** A worker that was buried cannot beat. */
  readonly buriedStaysBuried: boolean;
  /** The marks of a closed claim stand still, and its worker is told that it holds it no more. */
  readonly closedClaim: boolean;
  /** A worker that was buried is given no claim. */
  readonly livingClaims: boolean;
}

export const ALL_GUARDS: Guards = {
  claimNumber: true,
  stateOne: true,
  countChanged: true,
  buryAfterLease: true,
  ownLease: true,
  durableMark: true,
  window: true,
  markStays: true,
  claimFirst: true,
  cursorIsAHint: true,
  finishCountsClaimed: true,
  rescueUnknown: true,
  rescueNumber: true,
  doubtWithinMark: true,
  buriedStaysBuried: true,
  closedClaim: true,
  livingClaims: true,
};

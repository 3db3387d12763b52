// The rules of the two decision tables in words, for `lvr explain`: reconnection of two sites (core/reconnect.ts) and opening a log
// (core/recovery.ts). A test compares the labels with those in the code.

/** What each rule of the tables means and what to do about it. */
export const RULES: Readonly<Record<string, string>> = {
  C1:
    'The two sites hold different groups of the same name. Nothing flows; correct the configuration of one of them. If both were started as ' +
    'primary and one has nothing that is needed: stop its agent, remove its log, its volume files and GROUP.* in STATE_DIR/groups, set ' +
    'role = "secondary" and start it.',
  C2: 'Both sites are secondary, so nothing flows. Promote one.',
  C3: 'Both sites were promoted to the same epoch, so neither may take over the other. Nothing was changed.',
  C4: 'The other site was promoted later and has everything this one has: this one becomes secondary and continues from there.',
  C5: 'The other site was promoted later, but this one has writes that never arrived there. Nothing was changed on either.',
  C6: 'The site is new, and both sides began with volumes that read as zeroes: the whole log is sent.',
  C7: 'The site is new, but the log alone does not hold everything it needs: it needs a seed.',
  C8: 'The secondary knows a newer epoch and has everything the primary has: the primary becomes secondary.',
  C9: 'The secondary knows a newer epoch, but the primary has writes of its own. Nothing was changed on either.',
  C10: 'The histories no longer reach back to what both sites have: the site needs a seed.',
  C11: 'The secondary wrote records as a primary that the primary does not have. Nothing was changed on either.',
  C12: 'The secondary has applied records that the primary does not have. Nothing was changed on either.',
  C13: 'The log of the primary begins after what the secondary has: the site needs a seed.',
  C14: 'The usual case: records flow from the first one the secondary lacks; a tail that the primary never had is cut there first.',
  C15: 'The secondary is in the middle of a resync of this primary: it goes on.',
  C16: 'The secondary is in the middle of a resync that this primary cannot go on with: the site needs a seed.',
  C17: 'The log no longer reaches back to what the secondary has, but the bitmap does: a resync copies what it says.',
  C18: 'A new secondary, and a bitmap of everything there ever was: a resync copies what it says.',
  L1: 'The log is blank: it is created.',
  L2: 'Both superblocks are zero, yet something stands behind them: not a log, or a damaged one. Nothing was changed.',
  L3: 'Neither superblock is valid. Nothing was changed.',
  L4: 'The log was written by a newer version of lvr. Use that version.',
  L5: 'The log belongs to another group, site or set of volumes. Correct the configuration, or name another log.',
  L6: 'A record is missing or damaged that the superblock knows to have been durable: the log is corrupt and is not cut.',
  L7: 'A record is missing or damaged that a later record knows to have been durable: the log is corrupt and is not cut.',
  L8: 'The usual case: the log ends at its last valid record, and nothing shows that there ever was more that counted.',
  L9: 'The power went off while a new log was being created; nothing was ever on it. It is created again.',
};

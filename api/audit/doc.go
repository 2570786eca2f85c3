// Package audit is a node's audit log: who asked what, when, and what came of it, in CloudTrail's shape (spec 03 A).
//
// # What it guarantees
//
//   - A record whose Append or AppendCommitted returned nil is in the log: after a crash of the process always, after a
//     power cut if it was synced (FsyncAlways, [Log.Sync], or Config.Interval later). What follows a record in the file
//     never survives without it.
//   - No write meets a full volume. The space of a segment, and of the next one, is allocated before the first record
//     goes in; if that cannot be done, Append refuses ([ErrNoSpace]) and so does the caller. Committed records have a
//     reserve on top. [Log.Status] is red as soon as the next segment cannot be reserved, a whole segment earlier.
//   - A write or sync that fails all the same ends the log ([ErrFailed]): nothing is tried again on a file of which
//     nobody knows what it holds.
//   - Committed records stand once, in the order of the Raft log, whatever is replayed ([Log.AppendCommitted]).
//   - Changed, removed, inserted, reordered and cut-off records are found by [Verify], as far as a committed head or a
//     signature reaches; behind that, whoever can write to the directory can also write a chain.
//
// What is recorded, and what must not be (spec 03 A5, A6, AUD-06, AUD-09, AUD-10), is the caller's decision.
//
// # Files
//
// A segment is a text file audit-<number>-<UTC time of its beginning>.jsonl with one record per line, so that log
// shippers can follow it. Numbers count from 1 without gaps. Beside a closed segment stands its head, the same name with
// .head. The file audit.spare is the reserved space of the next segment, audit.lock keeps a second process out, *.torn
// is what a recovery set aside. Closed segments may be archived or deleted; the newest head has to stay, because the
// chain goes on from it.
//
// # Lines and the hash chain
//
// A line is the record's JSON object with one member more, the last:
//
//	{...record..., "trent":{"node":"n1","seq":18,"prev":"<hex>","index":45,"log":"c1","more":true,"chain":"<hex>"}}
//
// without the blanks shown here. node is Config.NodeID. seq counts the node's records from 1 over all segments. prev
// stands on the first line of a segment only and is the chain value before it. index and log stand on committed records
// only: the Raft index and Config.LogID, if that is set. more stands on all but the last of several records of one
// index. chain is
//
//	SHA-256( chain of the line before, 32 bytes || the bytes of this line before `,"chain":"` )
//
// in 64 lower-case hexadecimal digits; before a node's first record the chain is SHA-256("trent audit chain v1\n" ||
// node). So every byte but the line break is covered, and one line depends on all before it.
//
// # Heads
//
// When a segment is closed (by size, age, [Log.Rotate] or [Log.Close]), and as a checkpoint every
// Config.CheckpointEvery, a [Head] states how far the log reaches, and with which chain value. Config.Signer signs it,
// Config.OnHead commits it to Raft. What a head states is synced before. That is done in the background: an HSM that is
// away holds up no record, Status turns amber and the heads are signed later, if need be after a restart.
//
// # Recovery
//
// Open reads the segments that have no head. An incomplete last line, which is what a crash leaves, is cut. Other bytes
// after the last line that follows from its predecessor, or from the first hole of NUL bytes on (pages that a power cut
// took before they were synced), are moved to a .torn file and reported. Lines that do not follow but have good ones
// behind them are no accident: they stay for Verify, and Status is amber.
//
// # Filesystems
//
// Space is reserved with fallocate(FALLOC_FL_KEEP_SIZE) on Linux: ext4, XFS, btrfs, tmpfs have it. Where it is missing
// (NFS 3, some FUSE filesystems) the log only looks whether the space of a segment is free, a full volume is met by a
// write, which is then undone and refused, and Status is amber for that. On copy-on-write filesystems a reservation is
// only as good as theirs.
package audit

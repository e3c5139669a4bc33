/** What the feed says of the end of the log. */
export interface FeedHead {
  readonly position: bigint
  readonly commitNo: bigint
  readonly recordedAtUs: bigint
}

/** With what each connection begins, so that nobody takes another socket for a feed. */
export const feedGreeting = Buffer.from('cvfeed1\n')

/** Position, commit number and time, 8 bytes each, most significant first. */
export const feedFrameBytes = 24

/** The frame of a head. */
export function encodeFeedFrame(head: FeedHead): Buffer {
  const frame = Buffer.allocUnsafe(feedFrameBytes)
  frame.writeBigInt64BE(head.position, 0)
  frame.writeBigInt64BE(head.commitNo, 8)
  frame.writeBigInt64BE(head.recordedAtUs, 16)
  return frame
}

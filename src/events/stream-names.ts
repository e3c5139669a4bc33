/** Stream of a domain: its definitions, runs, chains, jobs and snapshots, in the order in which they happened. */
export function domainStream(uuid: string): string {
  return `domain-${uuid}`
}

/** Stream of the host and its daemons. */
export function nodeStream(hostId: string): string {
  return `node-${hostId}`
}

/** Stream of an emulator; the id is the SHA-256 of its path, since paths hold what names may not. */
export function emulatorStream(pathSha256: string): string {
  return `emulator-${pathSha256}`
}

/** Stream of a claim. Subjects of images are the SHA-256 of their path, names and ports stand for themselves. */
export function claimStream(kind: 'name' | 'image' | 'port', subject: string): string {
  return `${kind}-${subject}`
}

/** Stream of what one user was refused. */
export function refusalStream(uid: number): string {
  return `refusals-${uid}`
}

/** Stream of what operators had a projection do. */
export function projectionStream(name: string): string {
  return `projection-${name}`
}

/** Stream of what users were refused who are too many to be told apart. */
export const othersRefusalStream = 'refusals-others'

/** The part before the first dash: what kind of thing the stream tells of. */
export function categoryOf(stream: string): string {
  const dash = stream.indexOf('-')
  return dash === -1 ? stream : stream.slice(0, dash)
}

/** What the read models do not do as things stand, in words for whoever asked for it; nothing was changed. */
export class ReadModelRefusal extends Error {}

import { printXml } from '../xml/print-xml.ts'
import type { XmlElement } from '../xml/xml-node.ts'
import { hostElement } from './format-host-document.ts'
import { type GuestEmulator, guestElement } from './guest-element.ts'
import type { HostDocument } from './host-document.ts'

/** Prints `<capabilities>`: the host, then every emulator, an empty line between the parts. */
export function formatCapabilitiesDocument(host: HostDocument, emulators: readonly GuestEmulator[]): string {
  return capabilitiesDocument([hostPart(host), ...emulators.map(guestPart)])
}

/** Puts `<capabilities>` together from printed parts. */
export function capabilitiesDocument(parts: readonly string[]): string {
  return `<capabilities>\n\n${parts.join('\n')}\n</capabilities>\n`
}

/** The host's part of `<capabilities>`, printed. */
export function hostPart(host: HostDocument): string {
  return printPart(hostElement(host))
}

/** An emulator's part of `<capabilities>`, printed. */
export function guestPart(emulator: GuestEmulator): string {
  return printPart(guestElement(emulator))
}

function printPart(element: XmlElement): string {
  return printXml(element, { indent: 2 }).replaceAll(/^(?=.)/gm, '  ')
}

import { printXml } from '../xml/print-xml.ts'
import { hostElement } from './format-host-document.ts'
import { type GuestEmulator, guestElement } from './guest-element.ts'
import type { HostDocument } from './host-document.ts'

/** Prints `<capabilities>`: the host, then every emulator, an empty line between the parts. */
export function formatCapabilitiesDocument(host: HostDocument, emulators: readonly GuestEmulator[]): string {
  const parts = [hostElement(host), ...emulators.map(guestElement)].map((element) => printXml(element, { indent: 2 }))
  const indented = parts.map((text) => text.replaceAll(/^(?=.)/gm, '  '))
  return `<capabilities>\n\n${indented.join('\n')}\n</capabilities>\n`
}

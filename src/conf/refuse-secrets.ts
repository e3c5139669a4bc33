import { DefinitionError } from '../xml/definition-error.ts'
import { type DomainDef, domain } from './domain-def.ts'
import { withoutSecrets } from './secret-paths.ts'

/**
 * Refuses a definition that holds a password: the log never forgets, so a secret must not get into it. Secrets get a
 * table of their own before they are accepted.
 */
export function refuseSecrets(definition: DomainDef): void {
  const written = domain.write(definition)
  if (withoutSecrets(written) === written) return
  throw new DefinitionError({
    element: 'domain/devices/graphics/@passwd',
    rule: 'no-secrets',
    kind: 'config_unsupported',
    message:
      'Cannot accept the definition: it holds a password (passwd of <graphics>, or <cookies>), and what is recorded cannot be taken back',
  })
}

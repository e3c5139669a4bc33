import type { StoredDocument } from '../commands/caps-document.ts'
import { toJson } from './output.ts'

/** A fact by which two capability documents differ; null where a document does not state it. */
export interface DocumentDifference {
  readonly fact: string
  readonly was: string | null
  readonly is: string | null
}

/** The facts by which capability documents differ: flags, machines, CPUs and all else that they state, each by a name of its own. */
export function diffDocuments(was: StoredDocument, is: StoredDocument): readonly DocumentDifference[] {
  const [before, after] = [new Map(factsOf(was)), new Map(factsOf(is))]
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((fact) => {
    const pair = { was: before.get(fact) ?? null, is: after.get(fact) ?? null }
    return pair.was === pair.is ? [] : [{ fact, ...pair }]
  })
}

type Fact = readonly [name: string, value: string]

function factsOf({ capabilities, ...own }: StoredDocument): readonly Fact[] {
  const { accelerators, flags, gic, sev, sgx, hyperv } = capabilities
  return [
    ['version', String(own.version)],
    ['package', own.package],
    ['arch', own.arch],
    ['runs', own.virtTypes.join(', ')],
    ...own.flags.map((flag): Fact => [`own flag ${flag}`, 'set']),
    ...flags.map((flag): Fact => [`flag ${flag}`, 'set']),
    ...own.machines.map(({ name, ...rest }): Fact => [`machine ${name}`, said(rest)]),
    ...own.cpuModels.map(({ name, usable }): Fact => [`cpu ${name}`, usable ? 'usable' : 'not usable']),
    ...accelerators.flatMap(acceleratorFacts),
    ...gic.map(({ version, ...rest }): Fact => [`gic ${version}`, said(rest)]),
    ...(sev === null ? [] : [['sev', said(sev)] as const]),
    ...(sgx === null ? [] : [['sgx', said(sgx)] as const]),
    ...(hyperv ?? []).map((name): Fact => [`hyperv ${name}`, 'set']),
  ]
}

function acceleratorFacts({
  type,
  hostCpu,
  cpus,
  machines,
}: StoredDocument['capabilities']['accelerators'][number]): readonly Fact[] {
  const properties = (hostCpu?.properties ?? []).map(
    ({ name, value, migratable }): Fact => [
      `${type} host cpu ${name}`,
      `${value}${migratable === null ? '' : migratable ? ', migratable' : ', not migratable'}`,
    ],
  )
  return [
    [type, 'works'],
    ...(hostCpu === null ? [] : [[`${type} host cpu`, hostCpu.model] as const, ...properties]),
    ...cpus.map(({ name, ...rest }): Fact => [`${type} cpu ${name}`, said(rest)]),
    ...machines.map(({ name, ...rest }): Fact => [`${type} machine ${name}`, said(rest)]),
  ]
}

/** Values in the order of their names. */
function said(values: object): string {
  const told = Object.entries(values).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return told
    .flatMap(([name, value]: [string, unknown]) =>
      value === null || value === false || (Array.isArray(value) && value.length === 0)
        ? []
        : [value === true ? name : `${name} ${toJson(value, { compact: true })}`],
    )
    .join(', ')
}

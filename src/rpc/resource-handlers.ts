import type { resourceProcedures } from '../protocol/resource-procedures.ts'
import { Fault, type FaultKind } from '../util/fault.ts'
import type { Call } from './call.ts'
import type { Handlers } from './dispatcher.ts'

const none = (): { readonly count: number } => ({ count: 0 })
const noNames = (): { readonly names: readonly string[] } => ({ names: [] })
const noItems = () => ({ items: [], count: 0 })

function absent(kind: FaultKind, message: string): never {
  throw new Fault(kind, message)
}

/** Handlers of everything a host may have besides domains: empty lists, and lookups that find nothing. */
export const resourceHandlers: Handlers<typeof resourceProcedures, Call> = {
  connectNumOfNetworks: none,
  connectListNetworks: noNames,
  connectNumOfDefinedNetworks: none,
  connectListDefinedNetworks: noNames,
  connectListAllNetworks: noItems,
  networkLookupByName: (_call, { name }) => absent('no_network', `no network with matching name '${name}'`),
  networkLookupByUuid: (_call, { uuid }) => absent('no_network', `no network with matching uuid '${uuid}'`),

  connectNumOfStoragePools: none,
  connectListStoragePools: noNames,
  connectNumOfDefinedStoragePools: none,
  connectListDefinedStoragePools: noNames,
  connectListAllStoragePools: noItems,
  storagePoolLookupByName: (_call, { name }) =>
    absent('no_storage_pool', `no storage pool with matching name '${name}'`),
  storageVolLookupByKey: (_call, { key }) => absent('no_storage_volume', `no storage vol with matching key ${key}`),
  storageVolLookupByPath: (_call, { path }) =>
    absent('no_storage_volume', `no storage vol with matching path '${path}'`),

  connectNumOfInterfaces: none,
  connectListInterfaces: noNames,
  connectNumOfDefinedInterfaces: none,
  connectListDefinedInterfaces: noNames,
  connectListAllInterfaces: noItems,
  interfaceLookupByName: (_call, { name }) => absent('no_interface', `couldn't find interface named '${name}'`),

  nodeNumOfDevices: none,
  nodeListDevices: noNames,
  connectListAllNodeDevices: noItems,
  nodeDeviceLookupByName: (_call, { name }) => absent('no_node_device', `no node device with matching name '${name}'`),

  connectNumOfNwfilters: none,
  connectListNwfilters: noNames,
  connectListAllNwfilters: noItems,
  connectListAllNwfilterBindings: noItems,
  nwfilterLookupByName: (_call, { name }) => absent('no_nwfilter', `no nwfilter with matching name '${name}'`),

  connectNumOfSecrets: none,
  connectListSecrets: noNames,
  connectListAllSecrets: noItems,
  secretLookupByUuid: (_call, { uuid }) => absent('no_secret', `no secret with matching uuid '${uuid}'`),
}

/**
 * The named maxima of libvirt's wire protocol. A peer that exceeds one is not spoken to further: the numbers are equal on
 * both ends, so a client never sends more by honest work.
 */
export const limits = {
  /** Longest frame, including its own length word. */
  frameBytes: 32 * 1024 * 1024 + 4,
  /** Shortest frame: the length word and the six words of the header. */
  frameMinBytes: 28,
  stringBytes: 4 * 1024 * 1024,
  authTypes: 20,
  domains: 16_384,
  snapshots: 16_384,
  networks: 16_384,
  interfaces: 16_384,
  storagePools: 16_384,
  storageVolumes: 16_384,
  nodeDevices: 65_536,
  nwfilters: 16_384,
  nwfilterBindings: 16_384,
  secrets: 16_384,
  vcpuInfos: 16_384,
  cpuMapBytes: 2048,
  cpuMapsBytes: 8 * 1024 * 1024,
  securityModelLength: 257,
  securityDoiLength: 257,
  securityLabelLength: 4097,
  securityLabels: 64,
  memoryStats: 1024,
  diskErrors: 256,
  cpuModels: 8192,
  domainStats: 262_144,
  jobStats: 64,
  blockStats: 16,
  nodeStats: 16,
  messages: 2048,
  tunables: 2048,
  /** Of our own control program: a chain has at most 200 layers. */
  controlLayers: 512,
  controlDisks: 1024,
  controlJobs: 1024,
  controlStreams: 65536,
  controlEmulators: 4096,
} as const

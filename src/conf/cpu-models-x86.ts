/**
 * CPU models that may describe a host, oldest first within a vendor: name, vendor, the model that the row starts from (or -), the
 * signatures `FAMILY/MODEL[/STEPPINGS]` of the processors that it was made after; then features that it has more, and with `-` less. Of
 * two models that fit alike the later one wins.
 */
export const x86ModelTable = `
486 - -
  fpu pse vme
pentium - 486
  cx8 de mce mmx msr tsc
pentium2 - pentium
  cmov fxsr mca mtrr pae pat pge pse36 sep
pentium3 - pentium2
  sse
pentiumpro - pentium3
  apic sse2 -mca -mtrr -pse36 -vme
coreduo Intel pentium3
  apic clflush monitor nx pni sse2 vmx-activity-hlt vmx-exit-ack-intr vmx-hlt-exit vmx-intr-exit vmx-invlpg-exit
  vmx-io-bitmap vmx-io-exit vmx-monitor-exit vmx-movdr-exit vmx-msr-bitmap vmx-mwait-exit vmx-nmi-exit vmx-pause-exit
  vmx-rdpmc-exit vmx-rdtsc-exit vmx-tsc-offset vmx-vintr-pending -pse36
n270 Intel pentium3
  apic clflush monitor nx pni sse2 ssse3 -pse36
core2duo Intel coreduo
  lm pse36 ssse3 syscall vmx-apicv-xapic vmx-cr8-load-exit vmx-cr8-store-exit vmx-entry-ia32e-mode vmx-flexpriority
  vmx-ins-outs vmx-secondary-ctls vmx-vnmi vmx-vnmi-pending
qemu32 - pentiumpro
  pni
kvm32 - coreduo
  pse36 -monitor -nx -vme
qemu64 - n270
  cx16 lm pse36 svm syscall -monitor -ssse3 -vme
kvm64 - kvm32
  cx16 lm nx syscall vmx-cr8-load-exit vmx-cr8-store-exit vmx-entry-ia32e-mode vmx-flexpriority -vmx-msr-bitmap
Conroe Intel core2duo 6/15 6/22
  lahf_lm -monitor -vme
Penryn Intel Conroe 6/23 6/29
  cx16 sse4.1 vmx-entry-load-perf-global-ctrl vmx-exit-load-perf-global-ctrl vmx-wbinvd-exit
Nehalem Intel Penryn 6/26 6/30 6/31 6/46
  popcnt sse4.2 vmx-apicv-x2apic vmx-cr3-load-noexit vmx-cr3-store-noexit vmx-desc-exit vmx-entry-load-efer
  vmx-entry-load-pat vmx-entry-noload-debugctl vmx-ept vmx-ept-1gb vmx-ept-2mb vmx-ept-execonly vmx-exit-load-efer
  vmx-exit-load-pat vmx-exit-nosave-debugctl vmx-exit-save-efer vmx-exit-save-pat vmx-exit-save-preemption-timer
  vmx-invept vmx-invept-all-context vmx-invept-single-context vmx-invvpid vmx-invvpid-all-context
  vmx-invvpid-single-addr vmx-invvpid-single-context-noglobals vmx-mtf vmx-page-walk-4 vmx-preemption-timer
  vmx-true-ctls vmx-vpid
Nehalem-IBRS Intel Nehalem 6/26 6/30 6/31 6/46
  spec-ctrl
Westmere Intel Nehalem 6/44 6/47 6/37
  aes vmx-store-lma vmx-unrestricted-guest
Westmere-IBRS Intel Westmere 6/44
  spec-ctrl
SandyBridge Intel Westmere 6/42 6/45
  avx pclmuldq rdtscp tsc-deadline vmx-rdtscp-exit x2apic xsave
SandyBridge-IBRS Intel SandyBridge 6/42 6/45
  spec-ctrl
IvyBridge Intel SandyBridge 6/58 6/62
  erms f16c fsgsbase rdrand smep vme vmx-apicv-register vmx-apicv-vid vmx-posted-intr vmx-rdrand-exit
IvyBridge-IBRS Intel IvyBridge 6/58 6/62
  spec-ctrl
Haswell-noTSX Intel IvyBridge 6/60 6/63 6/69 6/70
  avx2 bmi1 bmi2 fma invpcid movbe pcid vmx-eptad vmx-eptp-switching vmx-invpcid-exit vmx-shadow-vmcs vmx-vmfunc
  vmx-vmwrite-vmexit-fields -f16c -rdrand -vme
Haswell-noTSX-IBRS Intel Haswell-noTSX 6/60 6/63 6/69 6/70
  spec-ctrl
Haswell Intel Haswell-noTSX 6/60 6/63 6/69 6/70
  hle rtm
Haswell-IBRS Intel Haswell 6/60 6/63 6/69 6/70
  spec-ctrl
Broadwell-noTSX Intel Haswell-noTSX 6/61 6/71 6/79 6/86
  3dnowprefetch adx rdseed smap vmx-pml vmx-rdseed-exit
Broadwell-noTSX-IBRS Intel Broadwell-noTSX 6/61 6/71 6/79 6/86
  spec-ctrl
Broadwell Intel Broadwell-noTSX 6/61 6/71 6/79 6/86
  hle rtm
Broadwell-IBRS Intel Broadwell 6/61 6/71 6/79 6/86
  spec-ctrl
Skylake-Client Intel Broadwell 6/94 6/78 6/142 6/158
  abm arat f16c mpx rdrand vme xgetbv1 xsavec xsaveopt -vmx-apicv-register -vmx-apicv-vid -vmx-apicv-x2apic
  -vmx-posted-intr
Skylake-Client-IBRS Intel Skylake-Client 6/94 6/78 6/142 6/158
  spec-ctrl
Skylake-Server Intel Skylake-Client 6/85/0-4
  avx512bw avx512cd avx512dq avx512f avx512vl clwb pdpe1gb vmx-apicv-register vmx-apicv-vid vmx-apicv-x2apic
  vmx-posted-intr -vmx-eptp-switching
Skylake-Server-IBRS Intel Skylake-Server 6/85/0-4
  spec-ctrl
Cascadelake-Server Intel Skylake-Server-IBRS 6/85/5-7
  avx512vnni clflushopt ssbd
Icelake-Client Intel qemu64 6/126
  3dnowprefetch abm adx aes arat avx avx2 avx512-vpopcntdq avx512bitalg avx512vbmi avx512vbmi2 avx512vnni bmi1 bmi2
  erms f16c fma fsgsbase gfni hle invpcid lahf_lm movbe mpx pcid pclmuldq pku popcnt rdrand rdseed rdtscp rtm smap
  smep spec-ctrl ssbd sse4.1 sse4.2 ssse3 tsc-deadline umip vaes vme vpclmulqdq wbnoinvd x2apic xgetbv1 xsave xsavec
  xsaveopt -svm
Icelake-Server Intel Cascadelake-Server 6/106
  avx512-vpopcntdq avx512bitalg avx512vbmi avx512vbmi2 gfni la57 pku umip vaes vpclmulqdq wbnoinvd -vmx-pml
  -vmx-rdseed-exit
Cooperlake Intel Cascadelake-Server 6/85/10-11
  arch-capabilities avx512-bf16 ibrs-all mds-no pku pschange-mc-no rdctl-no skip-l1dfl-vmentry stibp taa-no
  vmx-eptp-switching -mpx
Snowridge Intel Broadwell-noTSX-IBRS 6/134
  arat arch-capabilities cldemote clflushopt clwb core-capability gfni movdir64b movdiri pdpe1gb rdrand sha-ni
  split-lock-detect ssbd umip vme xgetbv1 xsavec xsaveopt -adx -avx -avx2 -bmi1 -bmi2 -fma -invpcid -pcid
  -vmx-invpcid-exit
KnightsMill Intel Icelake-Client 6/133
  avx512-4fmaps avx512-4vnniw avx512cd avx512er avx512f avx512pf pdpe1gb ss -avx512bitalg -avx512vbmi -avx512vbmi2
  -avx512vnni -gfni -hle -invpcid -mpx -pcid -pku -rtm -smap -spec-ctrl -ssbd -umip -vaes -vme -vpclmulqdq -wbnoinvd
  -xgetbv1 -xsavec
Denverton Intel Snowridge 6/95
  monitor mpx rdctl-no skip-l1dfl-vmentry -cldemote -clwb -core-capability -gfni -movdir64b -movdiri
  -split-lock-detect -umip -vme
SapphireRapids Intel Cooperlake 6/143
  amx-bf16 amx-int8 amx-tile avx-vnni avx512-fp16 avx512-vpopcntdq avx512bitalg avx512ifma avx512vbmi avx512vbmi2
  bus-lock-detect fsrc fsrm fsrs fzrm gfni la57 rdpid serialize sha-ni tsx-ldtrk umip vaes vmx-page-walk-5 vmx-xsaves
  vpclmulqdq wbnoinvd xfd xsaves -stibp
GraniteRapids Intel SapphireRapids 6/173
  amx-fp16 fbsdp-no mcdt-no pbrsb-no prefetchiti psdp-no sbdr-ssdp-no vmx-ept-wb vmx-invvpid-single-context
SierraForest Intel GraniteRapids 6/175
  avx-ifma avx-ne-convert avx-vnni-int8 cmpccxadd -amx-bf16 -amx-fp16 -amx-int8 -amx-tile -avx512-bf16 -avx512-fp16
  -avx512-vpopcntdq -avx512bitalg -avx512bw -avx512cd -avx512dq -avx512f -avx512ifma -avx512vbmi -avx512vbmi2
  -avx512vl -avx512vnni -fsrc -fzrm -hle -la57 -prefetchiti -rtm -taa-no -tsx-ldtrk -vmx-page-walk-5 -xfd
athlon AMD pentium3
  3dnow 3dnowext apic mmxext sse2 -mca
phenom AMD qemu64
  3dnow 3dnowext fxsr_opt mmxext monitor -cx16
Opteron_G1 AMD qemu64 15/6
  -cx16 -svm
Opteron_G2 AMD qemu64 15/6
  lahf_lm rdtscp
Opteron_G3 AMD Opteron_G2 15/6
  abm misalignsse popcnt sse4a
Opteron_G4 AMD Opteron_G3 21/1
  3dnowprefetch aes avx fma4 pclmuldq pdpe1gb sse4.1 sse4.2 ssse3 xop xsave
Opteron_G5 AMD Opteron_G4 21/2
  f16c fma tbm
EPYC AMD KnightsMill 23/1
  clflushopt cr8legacy fxsr_opt misalignsse mmxext osvw sha-ni smap sse4a svm vme xgetbv1 xsavec -avx512-4fmaps
  -avx512-4vnniw -avx512-vpopcntdq -avx512cd -avx512er -avx512f -avx512pf -erms -ss -tsc-deadline -x2apic
EPYC-IBPB AMD EPYC 23/1
  ibpb
EPYC-Rome AMD EPYC-IBPB 23/49
  amd-stibp clwb clzero npt nrip-save perfctr_core rdpid umip wbnoinvd xsaveerptr
EPYC-Milan AMD EPYC-Rome 25/1
  amd-ssbd erms fsrm ibrs invpcid pcid pku svme-addr-chk xsaves
EPYC-Genoa AMD EPYC-Milan 25/17
  amd-psfd auto-ibrs avx512-bf16 avx512-vpopcntdq avx512bitalg avx512bw avx512cd avx512dq avx512f avx512ifma
  avx512vbmi avx512vbmi2 avx512vl avx512vnni gfni la57 lfence-always-serializing no-nested-data-bp null-sel-clr-base
  stibp-always-on vaes vnmi vpclmulqdq
Dhyana Hygon EPYC-IBPB 24/0
  -aes -pclmuldq -sha-ni
`

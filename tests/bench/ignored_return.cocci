// ignored-return: the status of a hypercall is nobody's.
@@
@@
(
* kvm_call_hyp_nvhe(...);
|
* kvm_call_hyp_ret(...);
)

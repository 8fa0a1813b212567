// premature-teardown, as far as a pattern goes: a record is taken out before the hypercall that
// can still refuse, and its failure is returned.
@@
expression node, ret;
@@
(
* rb_erase(node, ...);
|
* list_del(node);
)
 ... when any
* ret = \(kvm_call_hyp_nvhe\|kvm_call_hyp_ret\)(...);
 ... when any
* return ret;

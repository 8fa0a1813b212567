// missing-rollback, as far as a pattern goes: something is inserted, the hypercall after it fails,
// and no path from there takes it out again.
@@
expression node, root, ret;
@@
(
 rb_insert_color(node, root);
|
 list_add(node, root);
|
 list_add_tail(node, root);
)
 ... when != rb_erase(node, ...)
     when != list_del(node)
     when any
* ret = \(kvm_call_hyp_nvhe\|kvm_call_hyp_ret\)(...);
 ... when != rb_erase(node, ...)
     when != list_del(node)
     when any
* return ret;

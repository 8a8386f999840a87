# api.mk - the contract and its page, put into the program.

GENOBJS_frontd	+= $(GEN)/openapi.o $(GEN)/docs.o

# embed NAME,FILE: FILE's bytes as C.
embed = { echo '\#include <stddef.h>'; \
	echo 'extern const unsigned char $(1)[];'; \
	echo 'extern const size_t $(1)_len;'; \
	echo 'const unsigned char $(1)[] = {'; \
	od -An -v -tx1 $(2) | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; \
	echo '};'; echo 'const size_t $(1)_len = sizeof($(1));'; }

$(GEN)/openapi.c: frontd/openapi.yaml frontd/api.mk
	@mkdir -p $(GEN)
	$(Q)$(call embed,openapi_yaml,$<) > $@.tmp && mv $@.tmp $@
$(GEN)/docs.html: frontd/openapi.yaml frontd/docs.awk
	@mkdir -p $(GEN)
	$(Q)awk -f frontd/docs.awk $< > $@.tmp && mv $@.tmp $@
$(GEN)/docs.c: $(GEN)/docs.html frontd/api.mk
	$(Q)$(call embed,docs_html,$<) > $@.tmp && mv $@.tmp $@

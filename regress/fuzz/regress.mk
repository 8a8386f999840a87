# regress.mk - the harnesses: fuzz_NAME.c and the product's files it is about.
# As programs of the tests they are linked with replay.c, which gives them the
# inputs that are kept.  With FUZZ=1 libFuzzer drives them; with COVER=1 they
# count which lines were run.

ifdef FUZZ
OPT	= -O1 -g -fno-omit-frame-pointer -DMN_SANITIZE \
	  -fsanitize=fuzzer-no-link,address,undefined \
	  -fno-sanitize-recover=undefined
LDHARDEN = -pie -Wl,--as-needed
FUZZ_MAIN =
FUZZ_LD	= -fsanitize=fuzzer
else
FUZZ_MAIN = $(O)/obj/regress/fuzz/replay.o
endif
ifdef COVER
OPT	= -O0 -g -fprofile-instr-generate -fcoverage-mapping
LDHARDEN = -pie -Wl,--as-needed
endif

# What each is made of; what is of the other rooms is known when all is read.
FUZZ_conn = $(filter-out %/rows.o %/libimsg.a,$(ENGINE_OBJS)) \
	    $(O)/obj/regress/fuzz/tls_world.o
FUZZ_LIBS_conn = $(LIBS_frontd) -lcrypto
FUZZ_INC_conn = -Ifrontd
$(O)/obj/regress/fuzz/tls_world.o: CPPFLAGS += -Ifrontd

# All of frontd.
FUZZ_api = $(FRONTD_OBJS) $(O)/obj/regress/fuzz/owners.o $(GEN)/heard.o
FUZZ_LIBS_api = $(LIBS_frontd)
FUZZ_INC_api = -Ifrontd
FUZZ_runner = $(FUZZ_api)
FUZZ_LIBS_runner = $(LIBS_frontd) -Wl,--wrap=peer_queued,--wrap=peer_is_full
FUZZ_INC_runner = -Ifrontd
$(O)/obj/regress/fuzz/owners.o: CPPFLAGS += -Ifrontd

# The dispatch of every program side by side, with one handler for all.
FUZZ_DISPATCH = $(filter-out worker,$(MSGPROGS))
FUZZ_dispatch = $(FUZZ_DISPATCH:%=$(O)/obj/regress/fuzz/dispatch_%.o) \
		$(GEN)/heard.o
$(O)/obj/regress/fuzz/dispatch_%.o: $(GEN)/%_msg.c $(GENHDRS)
	@mkdir -p $(@D)
	@echo "cc $< as dispatch_$*"
	$(Q)$(CC) $(CPPFLAGS) -Dproc_dispatch=dispatch_$* $(CFLAGS) -c -o $@ $<
$(GEN)/heard.c: $(MASTER)
	@mkdir -p $(GEN)
	$(Q)$(AWK) -v what=heard imsg/messages.master > $@.tmp && mv $@.tmp $@

FUZZ_conf = $(GEN)/parse.o $(O)/obj/parent/conf.o
FUZZ_INC_conf = -Iparent

FUZZ_wire = $(patsubst %,$(O)/obj/runnerd/%.o,line upward wire) \
	    $(GEN)/runner.pb-c.o
FUZZ_LIBS_wire = -lprotobuf-c -ljansson
FUZZ_INC_wire = -Irunnerd

# A coding agent's output, up to what runnerd would take.
FUZZ_AGENT = $(patsubst %,$(O)/obj/agent/%.o,ask keys linebuf run_log utf8 \
	    util) $(O)/obj/regress/fuzz/agent_world.o \
	    $(O)/obj/runnerd/wire.o $(GEN)/runner.pb-c.o
FUZZ_claude = $(FUZZ_AGENT) \
	    $(patsubst %,$(O)/obj/agent/%.o,agent_claude claude_delta claude_gate \
	    claude_text)
FUZZ_custom = $(FUZZ_AGENT) $(O)/obj/agent/agent_custom.o
FUZZ_LIBS_claude = -lprotobuf-c -ljansson
FUZZ_LIBS_custom = -lprotobuf-c -ljansson
FUZZ_INC_claude = -Iagent
FUZZ_INC_custom = -Iagent
$(O)/obj/regress/fuzz/agent_world.o: CPPFLAGS += -Iagent -Irunnerd

# The agent's end of the wire; link.c is in the harness.
FUZZ_link = $(patsubst %,$(O)/obj/agent/%.o,command grpc_client h2 util) \
	    $(GEN)/runner.pb-c.o $(O)/obj/frontd/tls.o \
	    $(O)/obj/regress/fuzz/tls_world.o
FUZZ_LIBS_link = -ltls -lcrypto -lnghttp2 -lprotobuf-c -ljansson
FUZZ_INC_link = -Iagent

FUZZ_follow = $(patsubst %,$(O)/obj/sessiond/%.o,follower hub position)
FUZZ_LIBS_follow = -ljansson
FUZZ_INC_follow = -Isessiond

FUZZERS	= $(patsubst regress/fuzz/fuzz_%.c,%,$(wildcard regress/fuzz/fuzz_*.c))

.SECONDEXPANSION:
define fuzzer
$(O)/regress/fuzz_$(1): $(O)/obj/regress/fuzz/fuzz_$(1).o $(FUZZ_MAIN) \
    $(O)/obj/regress/fuzz/input.o $(O)/obj/regress/fuzz/world.o \
    $$$$(FUZZ_$(1)) $(O)/libimsg.a
	@mkdir -p $$(@D)
	@echo "ld $$@"
	$$(Q)$$(CC) $$(CFLAGS) $$(LDHARDEN) $$(FUZZ_LD) -o $$@ $$^ \
	    $$(FUZZ_LIBS_$(1)) $$(LIBS)
$(O)/obj/regress/fuzz/fuzz_$(1).o: CPPFLAGS += $$(FUZZ_INC_$(1))
REGRESS	+= $(O)/regress/fuzz_$(1)
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzzer,$(f))))

fuzz-programs: $(FUZZERS:%=$(O)/regress/fuzz_%)

# Seconds of each harness.
FUZZ_SECONDS ?= 60
fuzz: fuzz-deps
	$(MAKE) -j2 O=build-fuzz CC=clang-14 FUZZ=1 fuzz-programs
	@sh regress/fuzz/fuzz.sh run $(FUZZ_SECONDS)

fuzz-cover: fuzz-deps
	$(MAKE) -j2 O=build-cover CC=clang-14 COVER=1 fuzz-programs
	@sh regress/fuzz/fuzz.sh cover

FUZZDEPS = clang-14 libclang-rt-14-dev llvm-14
fuzz-deps:
	@sh parent/deps.sh $(DEPS) $(FUZZDEPS)

.PHONY: fuzz fuzz-cover fuzz-deps fuzz-programs

# regress.mk - what the tests of frontd's two halves are run with.

FRONTD_OBJS = $(filter-out $(O)/obj/frontd/main.o,$(OBJS_frontd)) \
	      $(GENOBJS_frontd)
REGRESS	+= $(O)/regress/world $(O)/regress/routes

WORLD	= $(patsubst %,$(O)/obj/regress/http/%.o,world world_channel \
	  world_owner world_scan)
$(O)/regress/world: $(WORLD) $(O)/libimsg.a
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS)

$(O)/regress/routes: $(O)/obj/regress/http/routes.o $(FRONTD_OBJS) \
    $(O)/libimsg.a
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS_frontd) $(LIBS)

# The engine by itself; rows.c are its routes.
ENGINE	= buf check conn grpc health host http1 http1_head http2 http2_mem \
	  http2_out limit listener metrics query request respond route sha1 \
	  stream tls ws
ENGINE_OBJS = $(ENGINE:%=$(O)/obj/frontd/%.o) $(O)/obj/regress/http/rows.o \
	  $(LLHTTP_OBJS) $(O)/libimsg.a
$(O)/obj/regress/http/%.o: CPPFLAGS += -Ifrontd
$(O)/regress/engine_test: $(O)/obj/regress/http/engine_test.o $(ENGINE_OBJS)
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $< $(ENGINE_OBJS) \
	    $(LIBS_frontd) $(LIBS)

REGRESS	+= $(O)/regress/engine_test

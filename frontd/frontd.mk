# frontd.mk - HTTP/1.1 parsing.  Where libllhttp is packaged it is linked;
# Debian ships its C source in node-llhttp, which is compiled in, without our
# warnings and with the parser's own strict mode.

ifeq ($(shell pkg-config --exists libllhttp && echo yes),yes)
CFLAGS_llhttp	= $(shell pkg-config --cflags libllhttp)
LIBS_frontd	+= $(shell pkg-config --libs libllhttp)
else
LLHTTP		?= /usr/share/llhttp
CFLAGS_llhttp	= -I/usr/share/include/llhttp -DLLHTTP_STRICT_MODE=1
LLHTTP_OBJS	= $(O)/obj/llhttp/llhttp.o $(O)/obj/llhttp/api.o \
		  $(O)/obj/llhttp/http.o
GENOBJS_frontd	+= $(LLHTTP_OBJS)
$(O)/obj/llhttp/%.o: $(LLHTTP)/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_llhttp) $(filter-out $(WARN),$(CFLAGS)) -w -c -o $@ $<
endif

$(O)/obj/frontd/http1.o: CPPFLAGS += $(CFLAGS_llhttp)

# The engine by itself, for regress/http; rows.c are its routes.
ENGINE	= buf check conn grpc health host http1 http1_head http2 http2_mem \
	  http2_out limit listener metrics query request respond route sha1 \
	  stream tls ws
ENGINE_OBJS = $(ENGINE:%=$(O)/obj/frontd/%.o) $(O)/obj/regress/http/rows.o \
	  $(LLHTTP_OBJS) $(O)/libimsg.a
$(O)/obj/regress/http/%.o: CPPFLAGS += -Ifrontd
$(O)/engine_test: $(O)/obj/regress/http/engine_test.o $(ENGINE_OBJS)
	$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $< $(ENGINE_OBJS) $(LIBS_frontd) \
	    $(LIBS)
# make CC=clang SAN=1 O=build-san build-san/fuzz_conn
$(O)/fuzz_conn: LDHARDEN += -fsanitize=fuzzer
$(O)/fuzz_conn: OPT += -fsanitize=fuzzer-no-link
$(O)/fuzz_conn: $(O)/obj/regress/http/fuzz_conn.o $(ENGINE_OBJS)
	$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $< $(ENGINE_OBJS) $(LIBS_frontd) \
	    $(LIBS)

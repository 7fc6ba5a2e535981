# The vocabulary of this build. A room's CMakeLists.txt needs a few lines:
#
#   ist_library(io SOURCES loop.c op.c USES base LINKS PkgConfig::uv)
#   ist_test(io op)            # tests/unit/io/test_op.c, a cmocka program
#
# Every room is a static library of its own; a unit test links only its own
# room and what that room uses, so a wrong dependency does not link.

set(IST_SANITIZE "" CACHE STRING "Sanitizers, as given to -fsanitize=")
option(IST_HARDEN "Hardening flags of the shipped build" OFF)
option(IST_FUZZ "Build the libFuzzer targets (clang)" OFF)

find_package(PkgConfig REQUIRED)
foreach(pkg uv:libuv bsd:libbsd-overlay jansson:jansson sodium:libsodium
        protobufc:libprotobuf-c curl:libcurl mhd:libmicrohttpd
        amqp:librabbitmq ssl:openssl yaml:yaml-0.1 sqlite:sqlite3
        zstd:libzstd cmocka:cmocka smartcols:smartcols
        lmdb:lmdb)
    string(REPLACE ":" ";" pair ${pkg})
    list(GET pair 0 name)
    list(GET pair 1 module)
    pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
endforeach()

# Our own code is held to these; generated code links ist_build only.
add_library(ist_build INTERFACE)
target_include_directories(ist_build INTERFACE
    ${CMAKE_SOURCE_DIR}/lib ${CMAKE_SOURCE_DIR}/agent ${CMAKE_SOURCE_DIR}/hub
    ${CMAKE_BINARY_DIR}/proto)
target_compile_definitions(ist_build INTERFACE
    _GNU_SOURCE IST_VERSION="${PROJECT_VERSION}")
target_compile_options(ist_build INTERFACE -fno-strict-aliasing)
if(IST_SANITIZE)
    target_compile_options(ist_build INTERFACE
        -fsanitize=${IST_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all)
    target_link_options(ist_build INTERFACE -fsanitize=${IST_SANITIZE})
endif()
if(IST_FUZZ)
    target_compile_options(ist_build INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(IST_HARDEN)
    target_compile_definitions(ist_build INTERFACE _FORTIFY_SOURCE=2)
    target_compile_options(ist_build INTERFACE
        -fstack-protector-strong -fstack-clash-protection -fcf-protection
        -fPIE)
    target_link_options(ist_build INTERFACE
        -pie -Wl,-z,relro,-z,now,-z,noexecstack)
endif()

add_library(ist_strict INTERFACE)
target_link_libraries(ist_strict INTERFACE ist_build)
target_compile_options(ist_strict INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes
    -Wmissing-prototypes -Wvla -Wpointer-arith -Wundef -Wwrite-strings)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # gcc 12 takes two members of one struct for overlapping (PR 105651).
    target_compile_options(ist_strict INTERFACE -Wno-restrict)
endif()

# ist_rooms(DIR...): those that exist, in the order given.
function(ist_rooms)
    foreach(room ${ARGN})
        if(EXISTS ${CMAKE_SOURCE_DIR}/${room}/CMakeLists.txt)
            add_subdirectory(${CMAKE_SOURCE_DIR}/${room})
        endif()
    endforeach()
endfunction()

# ist_library(NAME SOURCES... USES rooms... LINKS targets...)
function(ist_library name)
    cmake_parse_arguments(arg "" "" "SOURCES;USES;LINKS" ${ARGN})
    add_library(ist_${name} STATIC ${arg_SOURCES})
    list(TRANSFORM arg_USES PREPEND ist_)
    target_link_libraries(ist_${name}
        PRIVATE ist_strict PUBLIC ${arg_USES} ${arg_LINKS})
endfunction()

# ist_program(NAME SOURCES... USES rooms... LINKS targets...)
function(ist_program name)
    cmake_parse_arguments(arg "" "" "SOURCES;USES;LINKS" ${ARGN})
    add_executable(${name} ${arg_SOURCES})
    list(TRANSFORM arg_USES PREPEND ist_)
    target_link_libraries(${name} PRIVATE ist_strict ${arg_USES} ${arg_LINKS})
endfunction()

# ist_test(ROOM NOUN [USES rooms...] [LINKS targets...] [LABEL label])
# builds tests/unit/ROOM/test_NOUN.c against the room and runs it by ctest.
function(ist_test room noun)
    cmake_parse_arguments(arg "" "LABEL" "USES;LINKS" ${ARGN})
    if(NOT BUILD_TESTING)
        return()
    endif()
    set(target test_${room}_${noun})
    add_executable(${target}
        ${CMAKE_SOURCE_DIR}/tests/unit/${room}/test_${noun}.c)
    list(TRANSFORM arg_USES PREPEND ist_)
    target_link_libraries(${target}
        PRIVATE ist_strict ist_${room} ${arg_USES} ${arg_LINKS}
        PkgConfig::cmocka)
    set_target_properties(${target} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    if(NOT arg_LABEL)
        set(arg_LABEL unit)
    endif()
    add_test(NAME ${arg_LABEL}.${room}.${noun} COMMAND ${target})
    set_tests_properties(${arg_LABEL}.${room}.${noun} PROPERTIES
        LABELS ${arg_LABEL} TIMEOUT 120)
endfunction()

# ist_fuzz(NAME USES rooms...): tests/fuzz/fuzz_NAME.c. With IST_FUZZ a
# libFuzzer program; always a replay program over the kept corpus, as a test.
function(ist_fuzz name)
    cmake_parse_arguments(arg "" "" "USES;LINKS" ${ARGN})
    if(NOT BUILD_TESTING)
        return()
    endif()
    list(TRANSFORM arg_USES PREPEND ist_)
    set(source ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${name}.c)
    set(corpus ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
    if(IST_FUZZ)
        if(NOT TARGET fuzzers)
            add_custom_target(fuzzers)
        endif()
        add_executable(fuzz_${name} ${source})
        add_dependencies(fuzzers fuzz_${name})
        target_link_libraries(fuzz_${name} PRIVATE
            ist_strict ${arg_USES} ${arg_LINKS} -fsanitize=fuzzer)
    else()
        add_executable(replay_${name} ${source}
            ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
        target_link_libraries(replay_${name} PRIVATE
            ist_strict ${arg_USES} ${arg_LINKS})
        set_target_properties(replay_${name} PROPERTIES
            RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
        add_test(NAME fuzz-replay.${name} COMMAND replay_${name} ${corpus})
        set_tests_properties(fuzz-replay.${name} PROPERTIES
            LABELS fuzz-replay TIMEOUT 120)
    endif()
endfunction()

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hooksieve::fuzzing::proxies(data));

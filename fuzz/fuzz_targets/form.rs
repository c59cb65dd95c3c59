#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    hooksieve::fuzzing::form(data, &|form| form_urlencoded::parse(form).into_owned().collect());
});

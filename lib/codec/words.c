#include "codec/words.h"

#include <sodium.h>
#include <string.h>

/* Common, concrete, of eight letters at most, spelt as they sound. Their order
 * is part of the fingerprint: never change it. */
static const char *const words[256] = {
    "acid",     "acorn",   "alarm",   "album",   "alley",   "alpha",
    "amber",    "angel",   "ankle",   "apple",   "april",   "arena",
    "arrow",    "aspen",   "atlas",   "atom",    "autumn",  "bacon",
    "badge",    "bagel",   "bamboo",  "banana",  "banjo",   "barn",
    "basil",    "beach",   "bear",    "beaver",  "berry",   "bike",
    "birch",    "bison",   "blade",   "blanket", "blaze",   "blossom",
    "board",    "bottle",  "brass",   "bread",   "brick",   "bridge",
    "bronze",   "broom",   "bucket",  "buffalo", "butter",  "button",
    "cabin",    "cable",   "cactus",  "camel",   "candle",  "canoe",
    "canyon",   "carbon",  "carpet",  "castle",  "cedar",   "chalk",
    "cherry",   "chess",   "chimney", "cider",   "cinema",  "circus",
    "clay",     "cliff",   "clock",   "cloud",   "clover",  "cobalt",
    "coconut",  "comet",   "copper",  "coral",   "cotton",  "coyote",
    "crane",    "crater",  "crayon",  "cricket", "crow",    "crystal",
    "daisy",    "deer",    "delta",   "denim",   "desert",  "diamond",
    "dinner",   "dolphin", "donkey",  "dragon",  "drum",    "eagle",
    "earth",    "easel",   "echo",    "ember",   "empire",  "engine",
    "falcon",   "feather", "fern",    "ferry",   "fiddle",  "finger",
    "flag",     "flame",   "flute",   "forest",  "fossil",  "fox",
    "galaxy",   "garden",  "garlic",  "ginger",  "giraffe", "glacier",
    "glove",    "goblet",  "gold",    "goose",   "granite", "grape",
    "gravel",   "guitar",  "hammer",  "harbor",  "hazel",   "helmet",
    "heron",    "hippo",   "honey",   "hornet",  "hotel",   "igloo",
    "indigo",   "iron",    "island",  "ivory",   "jacket",  "jaguar",
    "jasmine",  "jelly",   "jewel",   "jungle",  "kayak",   "kernel",
    "kettle",   "kitten",  "koala",   "ladder",  "lagoon",  "lantern",
    "lemon",    "lilac",   "lion",    "lizard",  "lobster", "lotus",
    "magnet",   "mango",   "maple",   "marble",  "meadow",  "melon",
    "mirror",   "mocha",   "monkey",  "moon",    "moss",    "motor",
    "muffin",   "museum",  "nectar",  "needle",  "nickel",  "ninja",
    "noodle",   "nutmeg",  "oasis",   "ocean",   "olive",   "onion",
    "opal",     "orange",  "orbit",   "orchid",  "otter",   "oyster",
    "paddle",   "panda",   "paper",   "parrot",  "peach",   "pebble",
    "pencil",   "pepper",  "piano",   "pigeon",  "pilot",   "planet",
    "plum",     "pocket",  "polar",   "pony",    "potato",  "prism",
    "pumpkin",  "puzzle",  "quartz",  "rabbit",  "radar",   "raven",
    "ribbon",   "river",   "robot",   "rocket",  "ruby",    "saddle",
    "salmon",   "satin",   "scarlet", "shadow",  "silver",  "sparrow",
    "spider",   "spoon",   "squid",   "stone",   "sugar",   "summit",
    "sunset",   "swan",    "tango",   "temple",  "thunder", "tiger",
    "toast",    "tomato",  "topaz",   "tulip",   "tunnel",  "turtle",
    "umbrella", "velvet",  "violin",  "walnut",  "whale",   "willow",
    "window",   "winter",  "zebra",   "zinc",
};

const char *ist_words_nth(uint8_t index)
{
    return words[index];
}

char *ist_words(const uint8_t key[32], char *buf)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    char *at = buf;

    crypto_hash_sha256(hash, key, 32);
    for (int i = 0; i < 6; i++) {
        if (i)
            *at++ = '-';
        at = stpcpy(at, words[hash[i]]);
    }
    return buf;
}

// What an item of a list may be, as in ITEM_KINDS of compat/item_options.py.

export const RECORD_SEPARATOR = "\x1e";

// end: the character that ends an item for the model. between: the lines between two items that are shown as a text.
export const ITEM_KINDS = {
  line: { end: "\n", between: "" },
  blank: { end: RECORD_SEPARATOR, between: "\n" },
  file: { end: RECORD_SEPARATOR, between: "%\n" },
};

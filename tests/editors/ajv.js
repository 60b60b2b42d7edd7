// Validates the JSON documents of standard input, one per line, in the strict mode of ajv. Prints the first error of each.
// Arguments: the directory of the installed modules, the schema, and the keywords that the schema adds.
const fs = require('fs');
const path = require('path');

const [modules, schema, ...vocabulary] = process.argv.slice(2);
const Ajv = require(path.join(modules, 'ajv/dist/2020')).default;
const ajv = new Ajv({ strict: true });
ajv.addVocabulary(vocabulary);
const validate = ajv.compile(JSON.parse(fs.readFileSync(schema, 'utf8')));
for (const line of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  validate(JSON.parse(line));
  const error = validate.errors?.[0];
  const params = error && Object.entries(error.params).map(([name, value]) => ` (${name}: ${value})`);
  console.log(error ? `${error.instancePath || '/'} ${error.message}${params.join('')}` : 'valid');
}

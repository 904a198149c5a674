// Command line of the baselines: --name value pairs, unknown names end the program.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

class Options {
 public:
  Options(int count, char** words, const std::set<std::string>& known) {
    for (int at = 1; at < count; at += 2) {
      const std::string name = words[at];
      if (name.rfind("--", 0) != 0 || known.count(name.substr(2)) == 0 || at + 1 >= count) {
        std::fprintf(stderr, "%s: no such option, or its value is missing\n", words[at]);
        std::exit(2);
      }
      values_[name.substr(2)] = words[at + 1];
    }
  }

  std::string text(const std::string& name, const std::string& otherwise = "") const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : found->second;
  }

  double number(const std::string& name, double otherwise) const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : std::atof(found->second.c_str());
  }

 private:
  std::map<std::string, std::string> values_;
};
